/**
 * Goal: X1: what changes a tree stays in it, whatever links lie there, and uploads that nobody goes on with do not gather. Method: real folders with
 * links that lead outside at every place; old uploads are files with an old time.
 */
import assert from "node:assert/strict";
import {
  chmodSync,
  chownSync,
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
import { HlError, type ErrorType } from "@hl/protocol/errors.ts";
import type { Handlers, MethodCall } from "@hl/protocol/method.ts";
import type { WorkspaceMethods } from "@hl/protocol/workspace-methods.ts";
import { Access } from "./access.ts";
import { move, remove } from "./change-tree.ts";
import { sha256Of } from "./content.ts";
import { uploadDraftOf, writeDraftOf } from "./draft-names.ts";
import { workspaceHandlers } from "./handlers.ts";
import { writePart, type Part } from "./upload.ts";
import { writeFile } from "./write-file.ts";

const never = new AbortController().signal;
const call = { signal: never } as MethodCall;

function world(t: TestContext): { workspace: string; outside: string; access: Access } {
  const root = realpathSync(mkdtempSync(join(tmpdir(), "hl-change-")));
  t.after(() => rmSync(root, { recursive: true }));
  const [workspace, outside] = [join(root, "ws"), join(root, "outside")];
  for (const path of [join(workspace, "tree/deep"), join(outside, "deep")]) mkdirSync(path, { recursive: true });
  writeFileSync(join(outside, "f"), "outside");
  writeFileSync(join(outside, "deep/f"), "outside");
  return { workspace, outside, access: new Access({ workspace, allowedPaths: [workspace], blockedPaths: [] }) };
}

/** The methods as they are served, which is where errors get their path. */
async function served(workspace: string): Promise<Handlers<WorkspaceMethods>> {
  const handlers = workspaceHandlers(systemClock, 1);
  await handlers["workspace/begin"]({ workspace, allowed_paths: [workspace], blocked_paths: [] }, call);
  return handlers;
}

const ordinaryUser = 65_534;
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

test("P7: a tree with more files and folders than are held at once is removed whole", async (t) => {
  const { workspace, access } = world(t);
  for (let index = 0; index < 300; index += 1) {
    mkdirSync(join(workspace, `tree/folder-${index}`));
    writeFileSync(join(workspace, `tree/file-${index}`), "");
    symlinkSync("nowhere", join(workspace, `tree/folder-${index}/link`));
  }
  const { removed } = await remove(access, { path: "tree", recursive: true }, never);
  assert.equal(removed, 902);
  assert.deepEqual(readdirSync(workspace), []);
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

test("an error of a move names the path that it is about", async (t) => {
  const { workspace, outside } = world(t);
  const handlers = await served(workspace);
  mkdirSync(join(workspace, "folder/inner"), { recursive: true });
  mkdirSync(join(workspace, "closed"));
  for (const name of ["file", "closed/file"]) writeFileSync(join(workspace, name), "");
  const long = "n".repeat(256);
  const isRoot = process.getuid?.() === 0;
  const rows: [from: string, to: string, overwrite: boolean, type: ErrorType, about: "from" | "to"][] = [
    ["file", "tree", true, "not_a_file", "to"],
    ["tree", "file", true, "not_a_directory", "to"],
    ["tree", "folder", true, "directory_not_empty", "to"],
    ["file", "folder", false, "file_exists", "to"],
    ["file", long, false, "invalid_params", "to"],
    ["tree", long, true, "invalid_params", "to"],
    ["file", "none/file", false, "file_not_found", "to"],
    ["file", "file/x", false, "not_a_directory", "to"],
    ["file", join(outside, "new"), false, "path_denied", "to"],
    [long, "new", false, "invalid_params", "from"],
    ["none", "folder", true, "file_not_found", "from"],
    ["folder", "folder/inner/x", false, "invalid_params", "from"],
    ["closed/file", "new", true, "path_denied", "from"],
  ];
  // Which of the two folders is closed is asked for the real user.
  if (!isRoot) rows.push(["file", "closed/new", true, "path_denied", "to"]);
  if (isRoot) {
    chmodSync(join(workspace, ".."), 0o755);
    for (const path of [".", "closed", "tree", "folder", "file"])
      chownSync(join(workspace, path), ordinaryUser, ordinaryUser);
    process.seteuid?.(ordinaryUser); // The kernel lets root write everywhere.
  }
  try {
    chmodSync(join(workspace, "closed"), 0o500);
    for (const [from, to, overwrite, type, about] of rows) {
      await assert.rejects(handlers["file/move"]({ from, to, overwrite }, call), (error: unknown) => {
        assert.ok(error instanceof HlError, String(error));
        assert.deepEqual([error.type, error.facts["path"]], [type, about === "to" ? to : from], `${from} → ${to}`);
        return true;
      });
    }
  } finally {
    chmodSync(join(workspace, "closed"), 0o700);
    if (isRoot) process.seteuid?.(0);
  }
});

test("X1: a link in the place of our own draft is taken away, and what it leads to is not written", async (t) => {
  const { workspace, outside, access } = world(t);
  await writeFile(access, { ...writing, path: "f", data: "1", expected_sha256: "" }, never);
  // Its name follows from the target's, so whoever works here can know it.

  symlinkSync(join(outside, "f"), join(workspace, writeDraftOf("f")));
  await writeFile(access, { ...writing, path: "f", data: "2" }, never);
  assert.equal(readFileSync(join(workspace, "f"), "utf8"), "2");
  const part: Part = { ...writing, path: "f", data: "3", upload_id: "u", offset: 0 };
  symlinkSync(join(outside, "f"), join(workspace, uploadDraftOf("f", "u")));
  await assert.rejects(writePart(access, part, systemClock, never), { code: "ELOOP" });
  assert.equal(readFileSync(join(outside, "f"), "utf8"), "outside");
});

test("P6: data that is no base64, or text with half a surrogate pair, is refused and written nowhere", async (t) => {
  const { workspace } = world(t);
  const handlers = await served(workspace);
  const upload = { upload_id: "u", offset: 0 };
  for (const data of [{ data: "!!!!", encoding: "base64" } as const, { data: "\ud800", encoding: "utf8" } as const]) {
    for (const part of [{}, upload]) {
      await assert.rejects(
        handlers["file/write"]({ ...writing, path: "f", ...data, ...part }, call),
        (error: unknown) => error instanceof HlError && error.type === "invalid_params",
      );
    }
  }
  assert.deepEqual(readdirSync(workspace), ["tree"]);
});

test("a part that cannot be taken leaves nothing: one beyond the end, and any for a target that is a folder", async (t) => {
  const { workspace, access } = world(t);
  const upload = { ...writing, data: "x", upload_id: "u" };
  const parts: [part: Part, type: ErrorType][] = [
    [{ ...upload, path: "f", offset: 1 }, "upload_offset"],
    [{ ...upload, path: "tree", offset: 0 }, "not_a_file"],
    [{ ...upload, path: "tree", offset: 0, final: true, sha256: sha256Of(Buffer.from("x")) }, "not_a_file"],
  ];
  for (const [part, type] of parts) {
    const isRefused = (error: unknown): boolean => error instanceof HlError && error.type === type;
    await assert.rejects(writePart(access, part, systemClock, never), isRefused, JSON.stringify(part));
    assert.deepEqual(readdirSync(workspace), ["tree"], JSON.stringify(part));
  }
});

test("two targets in one folder with one upload_id are two uploads", async (t) => {
  const { workspace, access } = world(t);
  const part = (path: string, data: string, offset: number): Part => ({
    ...writing,
    path,
    data,
    upload_id: "u",
    offset,
  });
  const last = { final: true, sha256: sha256Of(Buffer.from("aabb")) };
  await writePart(access, part("a", "aa", 0), systemClock, never);
  await writePart(access, part("b", "xxxx", 0), systemClock, never);
  await writePart(access, { ...part("a", "bb", 2), ...last }, systemClock, never);
  assert.equal(readFileSync(join(workspace, "a"), "utf8"), "aabb");
  assert.equal((await writePart(access, part("b", "", 4), systemClock, never)).received_bytes, 4);
});

test("an upload that nobody has gone on with for a week goes when another begins; younger ones stay", async (t) => {
  const { workspace, access } = world(t);
  for (const [name, days] of [
    ["old", 8],
    ["young", 6],
  ] as const) {
    const path = join(workspace, uploadDraftOf("f", name));
    writeFileSync(path, "");
    const seconds = Date.now() / 1000 - days * 86_400;
    utimesSync(path, seconds, seconds);
  }
  await writePart(access, { ...writing, path: "f", data: "part", upload_id: "new", offset: 0 }, systemClock, never);
  const draft = uploadDraftOf("f", "new");
  assert.deepEqual(readdirSync(workspace).sort(), [draft, uploadDraftOf("f", "young"), "tree"].sort());
  await assert.rejects(
    writePart(access, { ...writing, path: "f", data: "x", upload_id: "new", offset: 9 }, systemClock, never),
    (error: unknown) => error instanceof HlError && error.facts["received_bytes"] === 4,
  );
});
