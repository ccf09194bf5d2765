/**
 * Goal: a working directory is judged by the place where it really is, so that neither `..` nor a link leads out.
 * Method: a folder with every kind of entry, and one table of what is asked for and what is answered.
 */
import assert from "node:assert/strict";
import { mkdirSync, realpathSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { HlError } from "@hl/protocol/errors.ts";
import { temporaryFolder } from "@hl/testkit/programs.ts";
import { judgeDirectory, type FileAccess } from "./workspace.ts";

interface World extends Disposable {
  readonly root: string;
  at(path: string): string;
  /** The directory, or the type of the refusal; every refusal quotes the path. */
  judge(wanted: string | undefined, access?: Partial<FileAccess>): string;
}

function world(): World {
  const folder = temporaryFolder("hl-workspace");
  const root = realpathSync(folder.path);
  const at = (path: string): string => join(root, path);
  for (const path of ["dev/src/deep", "dev/secret/inner", "developer", "outside"])
    mkdirSync(at(path), { recursive: true });
  writeFileSync(at("dev/file"), "");
  symlinkSync(at("outside"), at("dev/out"));
  symlinkSync(at("dev/secret"), at("dev/src/in"));
  symlinkSync("/", at("dev/slash"));
  symlinkSync("src", at("dev/fine"));
  symlinkSync("missing", at("dev/dangling"));
  symlinkSync(at("dev"), at("alias"));
  const judge = (wanted: string | undefined, access: Partial<FileAccess> = {}): string => {
    const lists = { allowedPaths: [at("dev")], blockedPaths: [at("dev/secret")], ...access };
    try {
      return judgeDirectory(lists, lists.allowedPaths[0] ?? "/", wanted);
    } catch (error) {
      assert.ok(error instanceof HlError, String(error));
      assert.ok(error.message.includes(JSON.stringify(error.facts["path"])), error.message);
      return error.type;
    }
  };
  return { root, at, judge, [Symbol.dispose]: () => folder[Symbol.dispose]() };
}

test("workspace: relative, absolute and missing directories", () => {
  using w = world();
  assert.equal(w.judge(undefined), w.at("dev"));
  assert.equal(w.judge("."), w.at("dev"));
  assert.equal(w.judge("src/deep"), w.at("dev/src/deep"));
  assert.equal(w.judge("src/../src/./deep/"), w.at("dev/src/deep"));
  assert.equal(w.judge(w.at("dev/src")), w.at("dev/src"));
  assert.equal(w.judge("fine/deep"), w.at("dev/src/deep"));
  for (const none of ["missing", "file", "file/x", "dangling", "src\0", "x".repeat(5_000), "../nowhere"]) {
    assert.equal(w.judge(none), "cwd_invalid", JSON.stringify(none));
  }
});

test("workspace: nothing leads out: not .., not a link, not a name that begins the same", () => {
  using w = world();
  for (const out of [
    "..",
    "src/../..",
    "/",
    "/etc",
    "out",
    "slash",
    "slash/etc",
    "../developer",
    w.at("developer"),
    w.root,
  ]) {
    assert.equal(w.judge(out), "path_denied", out);
  }
  // `out/..` means what the kernel would make of it only after the link; here it is text, and the text leads back in.
  assert.equal(w.judge("out/../src"), w.at("dev/src"));
});

test("workspace: what is blocked inside an allowed path stays blocked, by whatever name", () => {
  using w = world();
  for (const path of ["secret", "secret/inner", "src/in", "src/in/inner", w.at("alias/secret"), "src/../secret"]) {
    assert.equal(w.judge(path), "path_denied", path);
  }
  assert.equal(w.judge("src", { blockedPaths: [w.at("dev")] }), "path_denied");
  assert.equal(w.judge("src", { blockedPaths: [w.at("de"), w.at("dev/sr"), w.at("missing")] }), w.at("dev/src"));
  assert.equal(w.judge("secret/inner", { blockedPaths: [w.at("dev/src/in")] }), "path_denied", "the entry is a link");
});

test("workspace: an allowed path that is itself a link holds where it leads to", () => {
  using w = world();
  assert.equal(w.judge("src", { allowedPaths: [w.at("alias")] }), w.at("dev/src"));
  assert.equal(w.judge(w.at("dev/src"), { allowedPaths: [w.at("alias")] }), w.at("dev/src"));
  assert.equal(w.judge("secret", { allowedPaths: [w.at("alias")] }), "path_denied");
  assert.equal(w.judge(w.at("outside"), { allowedPaths: [w.at("dev/missing"), "/"] }), w.at("outside"));
  assert.equal(w.judge(undefined, { allowedPaths: [] }), "path_denied");
});
