/**
 * Goal: S2, P7: a daemon without a cloud refuses no event for want of room, however many come, and keeps the newest of them.
 * Method: a real database behind the real door; many times what fits, a little at a time, while nobody takes anything away.
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, test } from "node:test";
import { ManualClock } from "@hl/testkit/manual-clock.ts";
import { temporaryFolder } from "@hl/testkit/programs.ts";
import { Database } from "../store/database.ts";
import { Redactor } from "../redaction/redactor.ts";
import { Secrets } from "../redaction/secrets.ts";
import { EventSpool } from "../store/event-spool.ts";
import { Events } from "./events.ts";
import { SpoolRoom } from "./spool-room.ts";

async function flood(limits: { eventsMax: number; bytesMax: number }, count: number): Promise<object> {
  using folder = temporaryFolder("hl-room");
  using database = new Database(join(folder.path, "daemon.db"));
  const spool = new EventSpool(database, () => 0);
  const errors: unknown[] = [];
  const room = new SpoolRoom({ ...limits, spool, onError: (error) => errors.push(error) });
  const { eventsMax: queueEventsMax, bytesMax: queueBytesMax } = limits;
  const events = new Events({
    spool,
    clock: new ManualClock(),
    queueEventsMax,
    queueBytesMax,
    eventBytesMax: 10_000,
    emittedTypes: ["process_end"],
    redaction: new Redactor(new Secrets(new ManualClock())),
    onStoreError: (error) => errors.push(error),
  });
  events.onAccepted(() => room.check());
  const batch = 5;
  for (let at = 0; at < count; at += batch) {
    await Promise.all(
      Array.from({ length: batch }, (_, each) =>
        events.emitOnce(`e${at + each}`, "process_end", { pad: "x".repeat(900) }),
      ),
    );
  }
  await room.make();
  const { seq } = database.prepare("SELECT max(seq) AS seq FROM events").get() as { seq: number };
  return {
    rejected: events.rejected,
    errors,
    seq,
    isWithin: spool.depth <= queueEventsMax && spool.bytes <= queueBytesMax,
  };
}

describe("room in the spool without a cloud", () => {
  const fine = { rejected: 0, errors: [], seq: 1_000, isWithin: true };

  test("S2: more events than the queue takes, at once and for long: none is refused", async () => {
    assert.deepEqual(await flood({ eventsMax: 60, bytesMax: 10_000_000 }, 1_000), fine);
  });

  test("S2: the same where the bytes are what does not fit", async () => {
    assert.deepEqual(await flood({ eventsMax: 1_000_000, bytesMax: 60_000 }, 1_000), fine);
  });

  test("S4: room that cannot be made is told, and the next event asks again", async () => {
    const told: unknown[] = [];
    const full = new Error("database or disk is full");
    let asked = 0;
    const keepNewest = async (): Promise<void> => {
      asked += 1;
      if (asked === 1) throw full;
    };
    const room = new SpoolRoom({
      spool: { depth: 80, bytes: 0, keepNewest },
      eventsMax: 100,
      bytesMax: 100,
      onError: (error) => told.push(error),
    });
    room.check();
    await assert.rejects(room.make(), full); // The same round.
    room.check();
    await room.make();
    assert.deepEqual([asked, told], [2, [full]]);
  });
});
