/**
 * Goal: S1, S2: what is accepted is durable, what cannot be kept is refused at exactly the configured limit and counted, and a
 * follower gets every event once and in order, or is told what is missing.
 * Method: a real database; time by hand; a follower whose notifications the test holds back.
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { describe, test } from "node:test";
import { HlError, type ErrorType } from "@hl/protocol/errors.ts";
import type { EventBody } from "@hl/protocol/methods/event-stream.ts";
import { ManualClock, settled } from "@hl/testkit/manual-clock.ts";
import { temporaryFolder } from "@hl/testkit/programs.ts";
import { Database } from "../store/database.ts";
import { EventSpool } from "../store/event-spool.ts";
import { Events, type EventsOptions } from "./events.ts";

interface Fixture extends Disposable {
  readonly path: string;
  readonly database: Database;
  readonly spool: EventSpool;
  readonly events: Events;
  readonly storeErrors: unknown[];
}

function fixture(limits: Partial<EventsOptions> = {}): Fixture {
  const folder = temporaryFolder("hl-events");
  const path = join(folder.path, "daemon.db");
  const database = new Database(path);
  const spool = new EventSpool(database, () => 0);
  const storeErrors: unknown[] = [];
  const events = new Events({
    spool,
    clock: new ManualClock(),
    queueEventsMax: 1_000,
    queueBytesMax: 1_000_000,
    eventBytesMax: 10_000,
    emittedTypes: ["health_check"],
    onStoreError: (error) => storeErrors.push(error),
    ...limits,
  });
  const dispose = (): void => {
    database[Symbol.dispose]();
    folder[Symbol.dispose]();
  };
  return { path, database, spool, events, storeErrors, [Symbol.dispose]: dispose };
}

const event = (id: string, data: unknown = null, type = "t"): EventBody => ({
  event_id: id,
  event_type: type,
  timestamp: 0,
  data,
  severity: "info",
});

const sizeOf = (one: EventBody): number => Buffer.byteLength(JSON.stringify(one));

const refused =
  (type: ErrorType, ...quoted: (string | number)[]) =>
  (error: unknown): boolean =>
    error instanceof HlError && error.type === type && quoted.every((text) => error.message.includes(String(text)));

describe("events: acceptance", () => {
  test("S1: accepted is said only after another process would find the event", async () => {
    using f = fixture();
    using other = new DatabaseSync(f.path, { readOnly: true });
    const count = (): unknown => other.prepare("SELECT count(*) AS n FROM events").get()?.["n"];
    const accepted = f.events.accept(event("a"));
    assert.equal(count(), 0);
    await accepted;
    assert.equal(count(), 1);
  });

  test("S2: queue_full comes at exactly the number of events, those in flight included", async () => {
    using f = fixture({ queueEventsMax: 3 });
    await f.events.accept(event("a"));
    const states = await Promise.allSettled(["b", "c", "d"].map((id) => f.events.accept(event(id))));
    assert.deepEqual(
      states.map(({ status }) => status),
      ["fulfilled", "fulfilled", "rejected"],
    );
    assert.ok(refused("queue_full", 1)((states[2] as PromiseRejectedResult).reason));
    await assert.rejects(f.events.accept(event("d")), refused("queue_full", 3));
    assert.equal(f.events.rejected, 2);
    await f.spool.acknowledge(1, new Map()); // Room again as soon as the cloud has taken one.
    await f.events.accept(event("d"));
    await assert.rejects(f.events.accept(event("e")), refused("queue_full"));
  });

  test("S2: queue_full comes at exactly the number of bytes, those in flight included, whatever the characters", async () => {
    const one = event("a", "🙂é世");
    using f = fixture({ queueBytesMax: 3 * sizeOf(one) });
    const states = await Promise.allSettled(
      [one, one, { ...one, data: `${String(one.data)}x` }].map((e) => f.events.accept(e)),
    );
    assert.deepEqual(
      states.map(({ status }) => status),
      ["fulfilled", "fulfilled", "rejected"],
    );
    await f.events.accept(one);
    assert.equal(f.spool.bytes, 3 * sizeOf(one));
    await assert.rejects(f.events.accept(event("b")), refused("queue_full"));
  });

  test("S2: an event of the largest size is taken, one byte more is refused with both figures", async () => {
    const largest = event("a", "é".repeat(20));
    using f = fixture({ eventBytesMax: sizeOf(largest) });
    await f.events.accept(largest);
    const larger = event("a", `${"é".repeat(20)}x`);
    await assert.rejects(f.events.accept(larger), refused("event_invalid", sizeOf(larger), sizeOf(largest)));
    assert.equal(f.events.rejected, 1);
  });

  test("S2, S4: an event that cannot be stored is refused and counted, and its place is free again", async () => {
    using f = fixture({ queueEventsMax: 1 });
    const broken = new Error("disk is full");
    const append = f.spool.append.bind(f.spool);
    f.spool.append = () => Promise.reject(broken);
    await assert.rejects(f.events.accept(event("a")), broken);
    assert.equal(f.events.rejected, 1);
    f.events.emit("health_check", {});
    await settled();
    assert.deepEqual(f.storeErrors, [broken]);
    f.spool.append = append;
    await f.events.accept(event("a"));
  });

  test("the daemon emits only the selected types; a full queue refuses its own events too, and nobody has to wait", async () => {
    using f = fixture({ queueEventsMax: 1 });
    const accepted = new Promise<void>((resolve) => f.events.onAccepted(resolve));
    f.events.emit("not_selected", {});
    f.events.emit("health_check", { status: "healthy" }, "warning");
    f.events.emit("health_check", {});
    await accepted;
    const stored = f.spool.pending(10).map((each) => f.events.stored(each));
    assert.deepEqual(
      stored.map((each) => [each.event_type, each.severity, each.data, each.seq]),
      [["health_check", "warning", { status: "healthy" }, 1]],
    );
    assert.equal(f.events.rejected, 1);
    assert.deepEqual(f.storeErrors, []);
  });
});

interface Follower {
  readonly seen: (number | string)[];
  readonly done: Promise<void>;
  /** Holds the notifications back until it is called. */
  release(): void;
  stop(): void;
}

function follow(
  events: Events,
  after: number,
  { types, held = false }: { types?: string[]; held?: boolean } = {},
): Follower {
  const seen: (number | string)[] = [];
  const stop = new AbortController();
  const gate = Promise.withResolvers<undefined>();
  if (!held) gate.resolve(undefined);
  const notify = async (method: string, told: unknown): Promise<void> => {
    await gate.promise;
    const { seq, from, to } = told as { seq?: number; from?: number; to?: number };
    seen.push(method === "event/gap" ? `gap ${from}-${to}` : seq!);
  };
  const done = events.follow({ after, types }, notify, stop.signal);
  return { seen, done, release: () => gate.resolve(undefined), stop: () => stop.abort() };
}

describe("events: followers", () => {
  test("S1, S3: replay and live together bring every event once and in order, while others are accepted", async () => {
    using f = fixture();
    for (let at = 0; at < 150; at += 1) void f.events.accept(event(`e${at}`)); // More than one page.
    await settled();
    const slow = follow(f.events, 0, { held: true });
    const live = follow(f.events, f.events.nextSeq - 1);
    for (let round = 0; round < 20; round += 1) {
      await Promise.all([0, 1, 2].map((at) => f.events.accept(event(`r${round}.${at}`))));
    }
    await settled();
    assert.deepEqual(slow.seen, []); // A slow reader has delayed nobody (P5).
    slow.release();
    await f.events.accept(event("last"));
    for (let turn = 0; turn < 5; turn += 1) await settled();
    const upTo = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, at) => from + at);
    assert.deepEqual(slow.seen, upTo(1, 211));
    assert.deepEqual(live.seen, upTo(151, 211));
    for (const one of [slow, live]) one.stop();
    await Promise.all([slow.done, live.done]);
  });

  test("S2: what was pruned before it was read is told as one gap, at the start and in between", async () => {
    using f = fixture();
    for (let at = 0; at < 4; at += 1) await f.events.accept(event(`e${at}`));
    await f.spool.acknowledge(2, new Map());
    await f.spool.prune(0, 10);
    const slow = follow(f.events, 0, { held: true });
    await settled();
    slow.release();
    await settled();
    assert.deepEqual(slow.seen, ["gap 1-2", 3, 4]);
    await f.spool.acknowledge(4, new Map());
    await f.spool.prune(0, 10);
    await f.events.accept(event("e5"));
    await settled();
    assert.deepEqual(slow.seen, ["gap 1-2", 3, 4, 5]); // It had read what went.
    const late = follow(f.events, 1);
    await settled();
    assert.deepEqual(late.seen, ["gap 2-4", 5]);
    for (const one of [slow, late]) one.stop();
    await Promise.all([slow.done, late.done]);
  });

  test("types are selected without a gap, a stop ends it at once, and a reader that fails ends with its error", async () => {
    using f = fixture();
    for (const [at, type] of ["a", "b", "a", "c"].entries()) await f.events.accept(event(`e${at}`, null, type));
    const some = follow(f.events, 0, { types: ["a", "c"] });
    await settled();
    assert.deepEqual(some.seen, [1, 3, 4]);
    some.stop();
    await some.done;
    const held = follow(f.events, 0, { held: true });
    await settled();
    held.stop();
    held.release();
    await held.done;
    assert.deepEqual(held.seen, [1]); // The one that was on its way.
    const broken = new Error("the connection is gone");
    const failing = f.events.follow(
      { after: 0, types: undefined },
      () => Promise.reject(broken),
      new AbortController().signal,
    );
    await assert.rejects(failing, broken);
    await f.events.accept(event("later")); // Nobody of before is in the way.
  });
});
