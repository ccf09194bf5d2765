/**
 * Goal: a watchdog is fed while the parts answer, and no longer when one of them does not, whatever the reason. Method: probes that
 * the test settles, time by hand.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "@hl/testkit/manual-clock.ts";
import { Progress } from "./progress.ts";

function fixture(): {
  clock: ManualClock;
  progress: Progress;
  asked: Record<"store" | "supervisor", PromiseWithResolvers<boolean>[]>;
} {
  const clock = new ManualClock();
  const asked: Record<"store" | "supervisor", PromiseWithResolvers<boolean>[]> = { store: [], supervisor: [] };
  const probe = (part: keyof typeof asked) => () => {
    const one = Promise.withResolvers<boolean>();
    asked[part].push(one);
    return one.promise;
  };
  const probes = { store: probe("store"), supervisor: probe("supervisor") };
  return { clock, asked, progress: new Progress({ clock, probes, stuckMsMax: 20_000 }) };
}

test("parts that answer make progress, however often somebody looks, and each is asked once at a time", async () => {
  const { clock, progress, asked } = fixture();
  for (let round = 1; round <= 5; round += 1) {
    assert.ok(progress.isProgressing());
    assert.ok(progress.isProgressing());
    assert.deepEqual([asked.store.length, asked.supervisor.length], [round, round]);
    asked.store.at(-1)!.resolve(true);
    asked.supervisor.at(-1)!.resolve(true);
    await clock.advance(10_000);
  }
});

test("one that does not answer is stuck at exactly the limit, named, and well again when it answers", async () => {
  const { clock, progress, asked } = fixture();
  assert.ok(progress.isProgressing());
  asked.supervisor[0]!.resolve(true);
  await clock.advance(19_999);
  assert.ok(progress.isProgressing());
  asked.supervisor[1]!.resolve(true);
  await clock.advance(1);
  assert.deepEqual(progress.stuck, ["store"]);
  assert.ok(!progress.isProgressing());
  assert.equal(asked.store.length, 1, "not asked again while it owes an answer");
  asked.store[0]!.resolve(true);
  await clock.advance(0);
  assert.ok(progress.isProgressing());
});

test("S4: a part that fails has answered; one that says no is stuck at once, until it says yes", async () => {
  const { clock, progress, asked } = fixture();
  progress.isProgressing();
  asked.store[0]!.reject(new Error("the disk is full"));
  asked.supervisor[0]!.resolve(false);
  await clock.advance(0);
  assert.deepEqual(progress.stuck, ["supervisor"]);
  assert.ok(!progress.isProgressing());
  asked.supervisor[1]!.resolve(true);
  await clock.advance(0);
  assert.ok(progress.isProgressing());
});
