/**
 * Goal: P7: what file/list holds of a folder is bounded by what it answers, and which entries those are does not depend on the order in which the kernel
 * tells names. Method: names made at random against sorting all of them; real folders with far more entries than the limit.
 */
import assert from "node:assert/strict";
import { linkSync, mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import type { ResultOf } from "@hl/protocol/method.ts";
import { fileList } from "@hl/protocol/methods/file-list.ts";
import fc from "fast-check";
import { Access } from "./access.ts";
import { listFolder } from "./list-folder.ts";
import { SmallestNames } from "./smallest-names.ts";

const never = new AbortController().signal;

type Listed = ResultOf<typeof fileList>;

function world(t: TestContext): { root: string; list: (params: object) => Promise<Listed> } {
  const root = realpathSync(mkdtempSync(join(tmpdir(), "hl-list-")));
  t.after(() => rmSync(root, { recursive: true }));
  const access = new Access({ workspace: root, allowedPaths: [root], blockedPaths: [join(root, "blocked")] });
  return { root, list: (params) => listFolder(access, fileList.params.parse(params), never) };
}

test("P7: of any names the first are kept, in order, and no more than twice as many are held", () => {
  const names = fc.uniqueArray(fc.uint8Array({ minLength: 1, maxLength: 3 }), { selector: (name) => name.join() });
  fc.assert(
    fc.property(names, fc.nat(20), (all, countMax) => {
      const smallest = new SmallestNames(countMax);
      for (const name of all.map((bytes) => Buffer.from(bytes))) {
        if (smallest.isWanted(name)) smallest.add(name);
        assert.ok(smallest.held <= 2 * countMax);
      }
      const sorted = all.map((bytes) => Buffer.from(bytes)).sort((one, other) => one.compare(other));
      assert.deepEqual(smallest.names(), sorted.slice(0, countMax));
      assert.equal(smallest.isCut, all.length > countMax);
    }),
  );
});

test("P7: of 20 000 entries the first ten by their bytes are answered", async (t) => {
  const { root, list } = world(t);
  writeFileSync(join(root, "f0"), "");
  // Names in no order; links are quicker to make than files.
  for (let index = 1; index < 20_000; index += 1)
    linkSync(join(root, "f0"), join(root, `f${(index * 7_919) % 20_000}`));
  const { entries, truncated } = await list({ limit: 10 });
  const first = ["f0", "f1", "f10", "f100", "f1000", "f10000", "f10001", "f10002", "f10003", "f10004"];
  assert.deepEqual([entries.map(({ path }) => path), truncated], [first, true]);
});

test("what is left out does not count against the limit, and the limit itself is not too much", async (t) => {
  const { root, list } = world(t);
  for (const folder of ["a", "a/in", "blocked", ".git"]) mkdirSync(join(root, folder));
  for (let index = 0; index < 100; index += 1) {
    writeFileSync(join(root, `.hidden-${index}`), "");
    writeFileSync(join(root, `a/in/${index}.log`), "");
  }
  for (const name of ["b", "a/c", "a/in/last"]) writeFileSync(join(root, name), "");
  writeFileSync(join(root, ".gitignore"), "*.log\n");
  const params = { depth: 9, include_hidden: false, gitignore: true };
  const all = ["a", "b", "a/c", "a/in", "a/in/last"];
  for (let limit = 1; limit <= 6; limit += 1) {
    const { entries, truncated } = await list({ ...params, limit });
    assert.deepEqual([entries.map(({ path }) => path), truncated], [all.slice(0, limit), limit < all.length]);
  }
});
