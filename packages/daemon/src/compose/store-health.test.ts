/**
 * Goal: S4: an operator reads what is wrong with the database and its disk, one thing at a time, before nobody can start a command.
 * Method: figures at the limit.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { inodeConditions, storeConditions } from "./store-health.ts";

test("S4: fewer than 64 free inodes are told; a file system that counts none is not", () => {
  const codes = (files: number, ffree: number): string[] => inodeConditions({ files, ffree }).map(({ code }) => code);
  assert.deepEqual(codes(1_000, 64), []);
  assert.deepEqual(codes(1_000, 63), ["no_inodes"]);
  assert.deepEqual(codes(1_000, 0), ["no_inodes"]);
  assert.deepEqual(codes(0, 0), []);
});

test("S4: each trouble of the database has its alert; one that is still being saved is not told as saved", () => {
  const well = { trouble: undefined, setAside: undefined, isBeingSaved: false };
  const codes = (changes: Partial<Parameters<typeof storeConditions>[0]>): string[] =>
    storeConditions({ ...well, ...changes }).map(({ code }) => code);
  assert.deepEqual(codes({}), []);
  assert.deepEqual(codes({ trouble: { kind: "disk_full", reason: "x" } }), ["disk_full"]);
  assert.deepEqual(codes({ trouble: { kind: "disk_failing", reason: "x" } }), ["disk_failing"]);
  assert.deepEqual(codes({ setAside: "daemon.db.corrupt-1" }), ["database_salvaged"]);
  assert.deepEqual(codes({ setAside: "daemon.db.corrupt-1", isBeingSaved: true }), ["database_being_saved"]);
});
