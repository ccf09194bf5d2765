/** Goal: a sleep and a clock that was set are told apart from time that passes. Method: both clocks moved by hand. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ClockWatch } from "./clock-watch.ts";

test("C3: a jump of the wall clock is told once with its size; time that passes and small corrections are not", () => {
  let now = 0;
  let wall = 1_000_000;
  const jumps: number[] = [];
  const clock = { now: () => now, wallMs: () => wall };
  const watch = new ClockWatch({ clock, jumpMs: 5_000, onJump: (ms) => void jumps.push(ms) });
  const pass = (ms: number, jumpMs = 0): void => {
    now += ms;
    wall += ms + jumpMs;
    watch.check();
  };
  pass(3_600_000);
  pass(20_000, 5_000);
  assert.deepEqual(jumps, []);
  pass(20_000, 5_001);
  pass(20_000);
  pass(20_000, -3_600_000);
  pass(20_000, 300_000);
  assert.deepEqual(jumps, [5_001, -3_600_000, 300_000]);
});
