/**
 * Goal: whatever the chunks, the lines are the same, and a line that is too long costs neither memory nor the lines after it.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { LineSplitter } from "./line-splitter.ts";

test("P6: the lines do not depend on how the bytes are cut", () => {
  const line = fc.string({ unit: "grapheme" }).filter((text) => !/[\r\n]/u.test(text));
  fc.assert(
    fc.property(fc.array(line), fc.array(fc.integer({ min: 1, max: 7 }), { minLength: 1 }), (lines, sizes) => {
      const bytes = Buffer.from(lines.map((text) => `${text}\n`).join(""));
      assert.deepEqual(split(bytes, sizes, 1_000_000).lines, lines);
    }),
  );
});

test("strips CRLF, reports empty lines, and takes an unfinished last line at the end", () => {
  assert.deepEqual(split(Buffer.from("a\r\n\nb\rc\nlast"), [3], 100).lines, ["a", "", "b\rc", "last"]);
});

test("P7: a line of lineBytesMax is read, one byte more is counted and skipped, and reading goes on", () => {
  for (const sizes of [[1], [4], [1_000]]) {
    const { lines, skipped } = split(Buffer.from("12345\n123456\n1234567890123\n12345\n"), sizes, 5);
    assert.deepEqual(lines, ["12345", "12345"]);
    assert.deepEqual(skipped, [6, 13]);
  }
});

test("a chunk may be reused by its owner", () => {
  const lines: string[] = [];
  const splitter = new LineSplitter({ lineBytesMax: 100, onLine: (line) => lines.push(line), onSkipped: () => {} });
  const chunk = Buffer.from("abc");
  splitter.push(chunk);
  chunk.fill("x");
  splitter.push(Buffer.from("d\n"));
  assert.deepEqual(lines, ["abcd"]);
});

function split(bytes: Buffer, sizes: number[], lineBytesMax: number): { lines: string[]; skipped: number[] } {
  const lines: string[] = [];
  const skipped: number[] = [];
  const splitter = new LineSplitter({
    lineBytesMax,
    onLine: (line) => lines.push(line),
    onSkipped: (count) => skipped.push(count),
  });
  for (let start = 0, at = 0; start < bytes.length; at += 1) {
    const size = sizes[at % sizes.length]!;
    splitter.push(bytes.subarray(start, start + size));
    start += size;
  }
  splitter.end();
  return { lines, skipped };
}
