/**
 * Goal: S4: an operator hears of a disk before nobody can start a command. Method: figures at the limit.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { inodeConditions } from "./store-health.ts";

test("S4: fewer than 64 free inodes are told; a file system that counts none is not", () => {
  const codes = (files: number, ffree: number): string[] => inodeConditions({ files, ffree }).map(({ code }) => code);
  assert.deepEqual(codes(1_000, 64), []);
  assert.deepEqual(codes(1_000, 63), ["no_inodes"]);
  assert.deepEqual(codes(1_000, 0), ["no_inodes"]);
  assert.deepEqual(codes(0, 0), []);
});
