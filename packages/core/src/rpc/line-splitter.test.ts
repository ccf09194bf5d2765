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
    const { lines, skipped, overflows } = split(Buffer.from("12345\n123456\n1234567890123\n12345\n"), sizes, 5);
    assert.deepEqual(lines, ["12345", "12345"]);
    assert.deepEqual(skipped, [6, 13]);
    assert.equal(overflows, 2);
  }
});

test("P7: a line that is too long is told of before its end, and counted also where the stream ends in it", () => {
  const told: string[] = [];
  const splitter = new LineSplitter({
    lineBytesMax: 3,
    onLine: (line) => told.push(line.toString()),
    onOverflow: () => told.push("overflow"),
    onSkipped: (bytes) => told.push(`skipped ${bytes}`),
  });
  splitter.push(Buffer.from("1234"));
  assert.deepEqual(told, ["overflow"]);
  assert.ok(splitter.partial);
  splitter.push(Buffer.from("56"));
  splitter.end();
  assert.deepEqual(told, ["overflow", "skipped 6"]);
  assert.ok(!splitter.partial);
  splitter.push(Buffer.from("ok\n"));
  assert.deepEqual(told.at(-1), "ok");
});

test("P7: a line that comes byte by byte costs no more than its size", () => {
  const bytes = 1_000_000;
  let length = 0;
  const splitter = new LineSplitter({ lineBytesMax: bytes, onLine: (line) => (length = line.length) });
  const one = Buffer.from("x");
  const before = process.memoryUsage();
  for (let count = 0; count < bytes; count += 1) splitter.push(one);
  const after = process.memoryUsage();
  splitter.push(Buffer.from("\n"));
  assert.equal(length, bytes);
  // A list of parts took about 100 MB; what the collector has not taken yet is left some room.
  assert.ok(after.heapUsed + after.arrayBuffers - before.heapUsed - before.arrayBuffers < 50_000_000);
});

test("a chunk may be reused by its owner", () => {
  const lines: string[] = [];
  const splitter = new LineSplitter({ lineBytesMax: 100, onLine: (line) => lines.push(line.toString()) });
  const chunk = Buffer.from("abc");
  splitter.push(chunk);
  chunk.fill("x");
  splitter.push(Buffer.from("d\n"));
  assert.deepEqual(lines, ["abcd"]);
});

function split(
  bytes: Buffer,
  sizes: number[],
  lineBytesMax: number,
): { lines: string[]; skipped: number[]; overflows: number } {
  const lines: string[] = [];
  const skipped: number[] = [];
  let overflows = 0;
  const splitter = new LineSplitter({
    lineBytesMax,
    onLine: (line) => lines.push(line.toString("utf8")),
    onOverflow: () => (overflows += 1),
    onSkipped: (count) => skipped.push(count),
  });
  for (let start = 0, at = 0; start < bytes.length; at += 1) {
    const size = sizes[at % sizes.length]!;
    splitter.push(bytes.subarray(start, start + size));
    start += size;
  }
  splitter.end();
  return { lines, skipped, overflows };
}
