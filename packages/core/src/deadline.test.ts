/** Goal: a deadline aborts with what it was told to say, and one that is disposed leaves no timer behind. Method: time by hand. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "@hl/testkit/manual-clock.ts";
import { Deadline } from "./deadline.ts";

test("a deadline aborts after its time, and never once it is disposed", async () => {
  const clock = new ManualClock();
  using passed = new Deadline(clock, 100, "too late");
  const kept = new Deadline(clock, 100, "too late");
  await clock.advance(99);
  assert.equal(passed.signal.aborted, false);
  kept[Symbol.dispose]();
  await clock.advance(1);
  assert.equal((passed.signal.reason as Error).message, "too late");
  assert.equal(kept.signal.aborted, false);
});
