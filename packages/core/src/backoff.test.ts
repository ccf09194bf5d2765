/** Goal: C3, full jitter: the window doubles up to the cap, the whole window is used, and a success starts anew. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Backoff, BackoffWindows } from "./backoff.ts";

test("C3: the window doubles up to maxMs and a reset begins again", () => {
  const backoff = new Backoff({ minMs: 500, maxMs: 60_000, random: () => 0.999_999 });
  const windows = Array.from({ length: 10 }, () => backoff.nextMs());
  assert.deepEqual(windows, [500, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000, 60_000]);
  assert.equal(backoff.attempt, 10);
  backoff.reset();
  assert.equal(backoff.attempt, 0);
  assert.equal(backoff.nextMs(), 500);
});

test("C3: whatever the dice say and however often, a delay is a whole number within its window", () => {
  const dice = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
  fc.assert(
    fc.property(dice, fc.integer({ min: 0, max: 5_000 }), (random, attempts) => {
      const backoff = new Backoff({ minMs: 1, maxMs: 60_000, random: () => random });
      for (let count = 0; count < attempts % 100; count += 1) backoff.nextMs();
      const delay = backoff.nextMs();
      assert.ok(Number.isInteger(delay) && delay >= 0 && delay <= 60_000);
    }),
  );
  const eager = new Backoff({ minMs: 500, maxMs: 60_000, random: () => 0 });
  for (let count = 0; count < 2_000; count += 1) assert.equal(eager.nextMs(), 0);
});

test("C3: windows follow each other without a gap or an overlap: an early attempt waits the rest of its window out", () => {
  let now = 0;
  let dice = 0.25;
  const windows = new BackoffWindows({ minMs: 10_000, maxMs: 60_000, random: () => dice, now: () => now });
  const attempts: number[] = [];
  for (let count = 0; count < 5; count += 1) {
    now += windows.nextMs();
    attempts.push(now);
  }
  // Windows: 0-10, 10-30, 30-70, 70-130, 130-190 s; a quarter into each.
  assert.deepEqual(attempts, [2_500, 15_000, 40_000, 85_000, 145_000]);
  now = 1_000_000; // Long after the last window: the next begins now.
  assert.equal(windows.nextMs(), 15_000);
  windows.reset();
  dice = 0.999_999;
  assert.equal(windows.nextMs(), 10_000);
  assert.equal(windows.attempt, 1);
});
