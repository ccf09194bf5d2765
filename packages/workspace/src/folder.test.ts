/**
 * Goal: X1: what was judged is what is touched, also when somebody puts a link in the way in between. Method: the swap is made exactly between the
 * two, which no race could do reliably: a folder is judged, replaced, and then opened; or opened, replaced, and then used.
 */
import assert from "node:assert/strict";
import {
  chmodSync,
  chownSync,
  constants,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { HlError } from "@hl/protocol/errors.ts";
import { Access } from "./access.ts";
import { move } from "./change-tree.ts";
import { Folder } from "./folder.ts";
import { writeFile as writeWhole } from "./write-file.ts";

function world(t: TestContext): { workspace: string; outside: string; access: Access } {
  const root = realpathSync(mkdtempSync(join(tmpdir(), "hl-folder-")));
  t.after(() => rmSync(root, { recursive: true }));
  const workspace = join(root, "ws");
  const outside = join(root, "outside");
  for (const path of [join(workspace, "a/b"), join(outside, "b")]) mkdirSync(path, { recursive: true });
  writeFileSync(join(outside, "f"), "outside");
  return { workspace, outside, access: new Access({ workspace, allowedPaths: [workspace], blockedPaths: [] }) };
}

const ordinaryUser = 65_534;
const never = new AbortController().signal;

const isDenied = (error: unknown): boolean => error instanceof HlError && error.type === "path_denied";

test("X1: a folder above that became a link after the judgement is found out when the folder is opened", async (t) => {
  const { workspace, outside, access } = world(t);
  const place = access.follow("a/b");
  renameSync(join(workspace, "a"), join(workspace, "old"));
  symlinkSync(outside, join(workspace, "a"));
  await assert.rejects(Folder.open(access, place), isDenied);
});

test("X1: the folder itself as a link is not opened", async (t) => {
  const { workspace, outside, access } = world(t);
  const place = access.follow("a");
  renameSync(join(workspace, "a"), join(workspace, "old"));
  symlinkSync(outside, join(workspace, "a"));
  await assert.rejects(Folder.open(access, place), { code: "ENOTDIR" });
});

test("X1: an opened folder stays what it was when its name becomes a link", async (t) => {
  const { workspace, outside, access } = world(t);
  await using folder = await Folder.open(access, access.follow("a"));
  renameSync(join(workspace, "a"), join(workspace, "old"));
  symlinkSync(outside, join(workspace, "a"));
  await writeFile(folder.at("new"), "inside");
  assert.equal(existsSync(join(outside, "new")), false);
  assert.equal(readFileSync(join(workspace, "old/new"), "utf8"), "inside");
});

test("X1: a file that is a link is not opened, whatever it leads to; a pipe does not hold whoever opens it", async (t) => {
  const { workspace, outside, access } = world(t);
  symlinkSync(join(outside, "f"), join(workspace, "link"));
  await using folder = await Folder.open(access, workspace);
  await assert.rejects(folder.openFile("link", constants.O_RDONLY), { code: "ELOOP" });
  await assert.rejects(folder.openFile("link", constants.O_WRONLY | constants.O_CREAT, 0o600), { code: "ELOOP" });
  const { execFileSync } = await import("node:child_process");
  execFileSync("mkfifo", [join(workspace, "pipe")]);
  await assert.rejects(
    folder.openFile("pipe", constants.O_RDONLY),
    (error: unknown) => (error as HlError).type === "not_a_file",
  );
  await assert.rejects(
    folder.openFile("a", constants.O_RDONLY),
    (error: unknown) => (error as HlError).type === "not_a_file",
  );
});

test("X1: missing folders are made one by one in what was opened", async (t) => {
  const { workspace, outside, access } = world(t);
  const made = await Folder.make(access, access.follow("a/x/y/z"), 0o700);
  assert.equal(made.created, true);
  assert.equal(made.folder.path, join(workspace, "a/x/y/z"));
  await made.folder[Symbol.asyncDispose]();
  symlinkSync(outside, join(workspace, "a/x/out"));
  await assert.rejects(Folder.make(access, join(workspace, "a/x/out/new")));
  assert.equal(existsSync(join(outside, "new")), false);
});

test("P2: what was done in a folder that may be written and not read is done", async (t) => {
  const { workspace, access } = world(t);
  const isRoot = process.getuid?.() === 0;
  if (isRoot) {
    chmodSync(join(workspace, ".."), 0o755);
    chmodSync(workspace, 0o755);
    chownSync(join(workspace, "a"), ordinaryUser, ordinaryUser);
    process.seteuid?.(ordinaryUser); // The kernel lets root read everything.
  }
  try {
    chmodSync(join(workspace, "a"), 0o300);
    await writeWhole(access, { path: "a/f", data: "1", encoding: "utf8", create_parents: false, final: false }, never);
    await move(access, { from: "a/f", to: "a/g", overwrite: false });
    assert.equal(readFileSync(join(workspace, "a/g"), "utf8"), "1");
  } finally {
    if (isRoot) process.seteuid?.(0);
    chmodSync(join(workspace, "a"), 0o700);
  }
});
