/**
 * Goal: S1, P7: what is delivered stays for its time and within its room, and no longer; after a restart none goes too early.
 * Method: a real spool, time by hand.
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { silentLogger } from "@hl/core/logger.ts";
import { lanes } from "@hl/protocol/event-lanes.ts";
import { ManualClock } from "@hl/testkit/manual-clock.ts";
import { temporaryFolder } from "@hl/testkit/programs.ts";
import { Database } from "./database.ts";
import { DeliveredRetention, type DeliveredRetentionOptions } from "./delivered-retention.ts";
import { EventSpool } from "./event-spool.ts";
import type { SpoolText } from "./spool-text.ts";
import { perLane } from "./lane-use.ts";

interface Fixture extends Disposable {
  readonly clock: ManualClock;
  readonly spool: EventSpool;
  retention(keepBytes?: number): DeliveredRetention;
  /** Accepts and delivers one of so many bytes. */
  deliver(retention: DeliveredRetention, bytes?: number): Promise<void>;
  kept(): number[];
}

function fixture(): Fixture {
  const folder = temporaryFolder("hl-retention");
  const database = new Database(join(folder.path, "daemon.db"));
  const clock = new ManualClock();
  const spool = new EventSpool(database, () => 0);
  const options = (keepBytes: number): DeliveredRetentionOptions => ({
    ...{ spool, clock, keepBytes },
    logger: silentLogger,
    keepMs: 3_600_000,
  });
  return {
    clock,
    spool,
    retention: (keepBytes = 1_000_000) => new DeliveredRetention(options(keepBytes)),
    async deliver(retention, bytes = 2) {
      const body = `"${"x".repeat(bytes - 2)}"` as SpoolText;
      const seq = await spool.append({ id: "e", type: "t", lane: "log", body });
      await spool.acknowledge(perLane(seq));
      await retention.delivered();
    },
    kept: () => spool.after(0, 1_000).map(({ seq }) => seq),
    [Symbol.dispose]: () => {
      database[Symbol.dispose]();
      folder[Symbol.dispose]();
    },
  };
}

test("S1, P7: a delivered event stays for an hour, to the minute of the round, and then goes", async () => {
  using f = fixture();
  const retention = f.retention();
  await f.deliver(retention);
  await f.clock.advance(1_800_000);
  await f.deliver(retention);
  await f.clock.advance(1_799_999);
  await f.deliver(retention);
  assert.deepEqual(f.kept(), [1, 2, 3]);
  await f.clock.advance(10_000);
  await f.deliver(retention);
  assert.deepEqual(f.kept(), [2, 3, 4]);
  await f.clock.advance(3_600_000);
  await f.deliver(retention);
  assert.deepEqual(f.kept(), [5]);
});

test("P7: of one lane there stays its part of the room, the newest of it", async () => {
  using f = fixture();
  const retention = f.retention(30 * lanes.length);
  for (let at = 0; at < 10; at += 1) {
    await f.deliver(retention, 10);
    await f.clock.advance(10_000);
  }
  assert.deepEqual(f.kept(), [8, 9, 10]);
});

test("S1: after a restart what was delivered before counts from then on, however old it is", async () => {
  using f = fixture();
  await f.deliver(f.retention());
  await f.clock.advance(3_000_000);
  const next = f.retention();
  await f.deliver(next);
  await f.clock.advance(3_599_999);
  await f.deliver(next);
  assert.deepEqual(f.kept(), [1, 2, 3]);
  await f.clock.advance(10_000);
  await f.deliver(next);
  assert.deepEqual(f.kept(), [3, 4]);
});
