/** Goal: a loop that was held up is late by that, and one that had nothing to do is left alone. Method: the real loop, kept busy or idle between rounds. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { systemClock } from "@hl/core/clock.ts";
import { LoopDelay } from "./loop-delay.ts";

const pause = (ms: number): Promise<void> => systemClock.sleep(ms);

function work(ms: number): void {
  for (const until = performance.now() + ms; performance.now() < until;);
}

test("after a round that found the loop at work it is looked at until one finds it idle", async () => {
  const delay = new LoopDelay(20);
  const heldUp = async (): Promise<number> => {
    await pause(100); // Delays count from the second look on.
    work(300);
    await pause(1); // Timers come first.
    return delay.ms;
  };
  assert.equal(await heldUp(), 0, "before the first round");
  delay.round();
  const seen = await heldUp();
  delay.round();
  assert.equal(delay.ms, 0, "each round counts anew");
  await pause(100);
  const seenAgain = await heldUp();
  delay.round();
  await pause(1_000);
  delay.round();
  assert.equal(await heldUp(), 0, "behind an idle round");
  delay.stop();
  assert.ok(seen > 200 && seenAgain > 200, `${seen}, ${seenAgain}`);
});

test("rounds that come faster than looks see a delay all the same", async () => {
  const delay = new LoopDelay(100);
  let seen = 0;
  for (let round = 0; round < 6; round += 1) {
    work(200);
    await pause(1);
    seen = Math.max(seen, delay.ms);
    delay.round();
  }
  delay.stop();
  assert.ok(seen > 80, String(seen));
});
