/**
 * Goal: each key has its own rate, the table is bounded, and nobody gains anything by having many keys or by being forgotten.
 * Method: a clock moved by hand; the attacker is a loop over keys.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ManualClock } from "@hl/testkit/manual-clock.ts";
import { BucketTable, type BucketTableOptions } from "./bucket-table.ts";

const tableOf = (clock: ManualClock, changes: Partial<BucketTableOptions> = {}): BucketTable =>
  new BucketTable({ limit: { perSecond: 10, burst: 2 }, clock, bucketsMax: 4, ...changes });

describe("buckets by key", () => {
  test("a burst, then the rate; one key's flood takes nothing from another", async () => {
    const clock = new ManualClock();
    const table = tableOf(clock);
    assert.deepEqual([table.take("wild"), table.take("wild"), table.take("wild")], [0, 0, 100]);
    assert.equal(table.take("calm"), 0);
    await clock.advance(100);
    assert.deepEqual([table.take("wild"), table.take("wild")], [0, 100]);
  });

  test("the wait grows with refusals in a row as the strategy says, to a minute, and begins anew after a request that passed", async () => {
    const waits = { exponential: [100, 200, 400, 800], linear: [100, 200, 300, 400], constant: [100, 100, 100, 100] };
    for (const strategy of ["exponential", "linear", "constant"] as const) {
      const clock = new ManualClock();
      const table = tableOf(clock, { strategy });
      const take = (): number => table.take("a");
      assert.deepEqual([take(), take(), take(), take(), take(), take()], [0, 0, ...waits[strategy]], strategy);
      await clock.advance(100);
      assert.deepEqual([take(), take()], [0, 100], strategy);
    }
    const table = tableOf(new ManualClock(), { strategy: "exponential" });
    for (let index = 0; index < 100; index += 1) table.take("a");
    assert.equal(table.take("a"), 60_000);
  });

  test("P7: full buckets are forgotten; there are never more than the limit", async () => {
    const clock = new ManualClock();
    const table = tableOf(clock);
    for (let index = 0; index < 100; index += 1) table.take(`key ${index}`);
    assert.equal(table.size, 4);
    await clock.advance(200);
    table.take("another");
    assert.equal(table.size, 1);
  });

  test("many keys evict nobody whose bucket is in use, give nobody a second burst, and share one bucket among themselves", () => {
    const table = tableOf(new ManualClock());
    for (let index = 0; index < 3; index += 1) table.take("victim");
    assert.equal(table.take("other"), 0);
    const passed = Array.from({ length: 1_000 }, (_, index) => table.take(`key ${index}`)).filter((ms) => ms === 0);
    // Two that found room, and the burst of the bucket that the others share.
    assert.equal(passed.length, 2 + 2);
    assert.ok(table.take("victim") > 0, "who was refused is still known");
    assert.equal(table.take("other"), 0, "who was known keeps the rest of a bucket");
    assert.equal(table.isEmpty("key 999"), true);
  });

  test("asking whether a bucket is empty takes nothing and remembers nobody", () => {
    const table = tableOf(new ManualClock());
    assert.equal(table.isEmpty("a"), false);
    assert.equal(table.size, 0);
    table.take("a");
    assert.equal(table.isEmpty("a"), false);
    table.take("a");
    assert.equal(table.isEmpty("a"), true);
  });

  test("another limit holds at once, for those who are known too", async () => {
    const clock = new ManualClock();
    const table = tableOf(clock, { strategy: "constant" });
    table.take("a");
    table.change({ perSecond: 1, burst: 1 }, "linear");
    assert.deepEqual([table.take("a"), table.take("a"), table.take("a")], [0, 1_000, 2_000]);
    table.change({ perSecond: 1_000, burst: 50 }, "linear");
    await clock.advance(50);
    assert.equal(Array.from({ length: 60 }, () => table.take("a")).filter((ms) => ms === 0).length, 50);
  });
});
