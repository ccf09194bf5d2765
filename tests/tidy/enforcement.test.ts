import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { repositoryRoot } from "@hl/testkit/programs.ts";
import { readByAll } from "../../scripts/enforcement/proofs.ts";
import { declaredSections } from "../../scripts/enforcement/render.ts";
import { enforcement } from "../../scripts/enforcement/rows.ts";

// Goal: X2: no setting is one in name only. docs/enforcement.md says of each who obeys it and which test would fail if it did nothing.
// Method: the table is held against the declared keys, the modules and the tests that there are.
const declared = declaredSections().flatMap(({ keys }) => keys.map(({ pointer }) => pointer));
const textOf = (path: string): string =>
  existsSync(join(repositoryRoot, path)) ? readFileSync(join(repositoryRoot, path), "utf8") : "";

test("every key has one row, and every row has its key", () => {
  assert.deepEqual(Object.keys(enforcement).sort(), [...declared].sort());
  assert.deepEqual(
    Object.entries(enforcement).flatMap(([pointer, { proofs }]) => (proofs.length === 0 ? [pointer] : [])),
    [],
  );
});

test("who obeys it is there", () => {
  const absent = Object.entries(enforcement).filter(([, { by }]) => !existsSync(join(repositoryRoot, by)));
  assert.deepEqual(
    absent.map(([pointer, { by }]) => `${pointer}: ${by}`),
    [],
  );
});

test("every test that is named is the title, or its beginning or end, of one in that file", () => {
  const proofs = [...Object.values(enforcement).flatMap((row) => row.proofs), ...Object.values(readByAll)];
  const absent = proofs.filter(({ file, title }) => {
    const lines = textOf(file).split("\n");
    return !lines.some((line) => new RegExp(`["\`](?:[^"\`]*)${RegExp.escape(title)}`).test(line));
  });
  assert.deepEqual(
    absent.map(({ file, title }) => `${file}: ${title}`),
    [],
  );
});
