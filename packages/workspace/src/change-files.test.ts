/**
 * Goal: X1: what changes a tree stays in it, whatever links lie there, and uploads that nobody goes on with do not gather. Method: real folders with
 * links that lead outside at every place; old uploads are files with an old time.
 */
import assert from "node:assert/strict";
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { systemClock } from "@hl/core/clock.ts";
import { HlError } from "@hl/protocol/errors.ts";
import { Access } from "./access.ts";
import { move, remove } from "./change-tree.ts";
import { writeDraftOf } from "./draft-names.ts";
import { writePart, type Part } from "./upload.ts";
import { writeFile } from "./write-file.ts";

const never = new AbortController().signal;

function world(t: TestContext): { workspace: string; outside: string; access: Access } {
  const root = realpathSync(mkdtempSync(join(tmpdir(), "hl-change-")));
  t.after(() => rmSync(root, { recursive: true }));
  const [workspace, outside] = [join(root, "ws"), join(root, "outside")];
  for (const path of [join(workspace, "tree/deep"), join(outside, "deep")]) mkdirSync(path, { recursive: true });
  writeFileSync(join(outside, "f"), "outside");
  writeFileSync(join(outside, "deep/f"), "outside");
  return { workspace, outside, access: new Access({ workspace, allowedPaths: [workspace], blockedPaths: [] }) };
}

const writing = { encoding: "utf8", create_parents: false, final: false } as const;

test("X1: a tree is removed with the links in it, and nothing that they lead to", async (t) => {
  const { workspace, outside, access } = world(t);
  symlinkSync(outside, join(workspace, "tree/folder"));
  symlinkSync(join(outside, "f"), join(workspace, "tree/deep/file"));
  symlinkSync("nowhere", join(workspace, "tree/dangling"));
  writeFileSync(Buffer.concat([Buffer.from(`${workspace}/tree/bad-`), Buffer.from([0xff])]), "");
  const { removed } = await remove(access, { path: "tree", recursive: true }, never);
  assert.equal(removed, 6);
  assert.deepEqual(readdirSync(workspace), []);
  assert.deepEqual(readdirSync(outside, { recursive: true }).sort(), ["deep", "deep/f", "f"]);
});

test("X1: a link is moved as itself, and one at the target is replaced, not followed", async (t) => {
  const { workspace, outside, access } = world(t);
  symlinkSync(join(outside, "f"), join(workspace, "link"));
  writeFileSync(join(workspace, "new"), "new");
  await move(access, { from: "link", to: "tree/link", overwrite: false });
  await move(access, { from: "new", to: "tree/link", overwrite: true });
  assert.equal(readFileSync(join(workspace, "tree/link"), "utf8"), "new");
  assert.equal(readFileSync(join(outside, "f"), "utf8"), "outside");
});

test("X1: a link in the place of our own draft is taken away, and what it leads to is not written", async (t) => {
  const { workspace, outside, access } = world(t);
  await writeFile(access, { ...writing, path: "f", data: "1", expected_sha256: "" }, never);
  // Its name follows from the target's, so whoever works here can know it.

  symlinkSync(join(outside, "f"), join(workspace, writeDraftOf("f")));
  await writeFile(access, { ...writing, path: "f", data: "2" }, never);
  assert.equal(readFileSync(join(workspace, "f"), "utf8"), "2");
  const part: Part = { ...writing, path: "f", data: "3", upload_id: "u", offset: 0 };
  symlinkSync(join(outside, "f"), join(workspace, ".hl-upload-u"));
  await assert.rejects(writePart(access, part, systemClock, never), { code: "ELOOP" });
  assert.equal(readFileSync(join(outside, "f"), "utf8"), "outside");
});

test("an upload that nobody has gone on with for a week goes when another begins; younger ones stay", async (t) => {
  const { workspace, access } = world(t);
  for (const [name, days] of [
    ["old", 8],
    ["young", 6],
  ] as const) {
    const path = join(workspace, `.hl-upload-${name}`);
    writeFileSync(path, "");
    const seconds = Date.now() / 1000 - days * 86_400;
    utimesSync(path, seconds, seconds);
  }
  await writePart(access, { ...writing, path: "f", data: "part", upload_id: "new", offset: 0 }, systemClock, never);
  assert.deepEqual(readdirSync(workspace).sort(), [".hl-upload-new", ".hl-upload-young", "tree"]);
  await assert.rejects(
    writePart(access, { ...writing, path: "f", data: "x", upload_id: "new", offset: 9 }, systemClock, never),
    (error: unknown) => error instanceof HlError && error.facts["received_bytes"] === 4,
  );
});
