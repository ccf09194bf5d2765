/**
 * Goal: P7: whatever a .gitignore says, it is judged in bounded time, and what it says within the limits holds. Method: real folders as deep as a list
 * goes, with the rules that take the matcher longest.
 */
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { Access } from "./access.ts";
import { GitIgnore } from "./gitignore.ts";

async function rules(t: TestContext, text: string): Promise<{ root: string; ignored: GitIgnore }> {
  const root = realpathSync(mkdtempSync(join(tmpdir(), "hl-gitignore-")));
  t.after(() => rmSync(root, { recursive: true }));
  mkdirSync(join(root, ".git"));
  writeFileSync(join(root, ".gitignore"), text);
  const access = new Access({ workspace: root, allowedPaths: [root], blockedPaths: [] });
  return { root, ignored: await (await GitIgnore.above(access, root)).within(access, root) };
}

const deepest = Array<string>(164).fill("a").join("/");

test("P7: rules that would be matched for hours are left out, and the others hold", { timeout: 30_000 }, async (t) => {
  const hostile = [3, 4, 5, 14].flatMap((times) => [`${"a/**/".repeat(times)}b`, `${"**/a/".repeat(times)}b`]);
  const { root, ignored } = await rules(t, [...hostile, "**/out/**", "*.log"].join("\r\n"));
  assert.equal(ignored.ignores(join(root, deepest, "c"), false), false);
  assert.equal(ignored.ignores(join(root, "x/out/f"), false), true);
  assert.equal(ignored.ignores(join(root, "a.log"), false), true);
});

test("P7: a line of 1024 bytes is a rule and a longer one is none; so are 1000 rules and one more", async (t) => {
  const long = `${"d".repeat(200)}/`.repeat(5); // 1005 bytes.
  const lines = await rules(t, `${long}${"e".repeat(19)}\n${long}${"f".repeat(20)}\n`);
  assert.equal(lines.ignored.ignores(join(lines.root, long, "e".repeat(19)), false), true);
  assert.equal(lines.ignored.ignores(join(lines.root, long, "f".repeat(20)), false), false);
  const many = Array.from({ length: 1_001 }, (_, index) => `# comment\n\nfile-${index}`);
  const { root, ignored } = await rules(t, many.join("\n"));
  assert.equal(ignored.ignores(join(root, "file-999"), false), true);
  assert.equal(ignored.ignores(join(root, "file-1000"), false), false);
});
