import assert from "node:assert/strict";
import test from "node:test";
import { digits, ms, pairedDifferences, pairedRatio, percentile, summarize } from "./stats.ts";

test("a percentile is one of the samples, by nearest rank", () => {
  const sorted = Array.from({ length: 100 }, (_, index) => index + 1);
  assert.equal(percentile(sorted, 0.5), 50);
  assert.equal(percentile(sorted, 0.99), 99);
  assert.equal(percentile(sorted, 1), 100);
  assert.equal(percentile(sorted, 0), 1);
  assert.equal(percentile([7], 0.5), 7);
});

test("without samples there is no percentile, and it is not zero", () => {
  assert.ok(Number.isNaN(percentile([], 0.5)));
});

test("a summary does not depend on the order of the samples and leaves them as they are", () => {
  const samples = [3, 1, 2];
  assert.deepEqual(summarize(samples), { count: 3, mean: 2, p50: 2, p90: 3, p99: 3, max: 3 });
  assert.deepEqual(samples, [3, 1, 2]);
});

test("a paired ratio holds still when the machine slows both sides down", () => {
  const base = [1, 1, 10, 1, 100];
  assert.equal(
    pairedRatio(
      base.map((value) => value * 2),
      base,
    ),
    2,
  );
  assert.equal(pairedRatio([2, 2], [1, 1, 9]), 2);
});

test("differences are taken pair by pair", () => {
  assert.deepEqual(pairedDifferences([3, 5], [1, 10]), [2, -5]);
});

test("numbers are written with the digits that matter", () => {
  assert.deepEqual([0.01234, 1.234, 12.34, 123.4, 12_345.6].map(digits), ["0.012", "1.23", "12.3", "123", "12,346"]);
  assert.equal(ms(0.5), "0.500 ms");
  assert.equal(digits(Number.NaN), "NaN");
});
