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
import type { Gap } from "@hl/protocol/event-lanes.ts";
import type { EventBody } from "@hl/protocol/methods/event-stream.ts";
import { ManualClock, settled } from "@hl/testkit/manual-clock.ts";
import { temporaryFolder } from "@hl/testkit/programs.ts";
import { Database } from "../store/database.ts";
import { Redactor } from "../redaction/redactor.ts";
import { Secrets } from "../redaction/secrets.ts";
import { EventSpool } from "../store/event-spool.ts";
import { perLane } from "../store/lane-use.ts";
import { Events, type EventsOptions } from "./events.ts";
import { reserveOf } from "./quotas.ts";

interface Fixture extends Disposable {
  readonly path: string;
  readonly database: Database;
  readonly spool: EventSpool;
  readonly events: Events;
  readonly storeErrors: unknown[];
  readonly clock: ManualClock;
  /** `data` of all gaps in the table. */
  gaps(): unknown[];
}

function fixture(limits: Partial<EventsOptions> = {}): Fixture {
  const folder = temporaryFolder("hl-events");
  const path = join(folder.path, "daemon.db");
  const database = new Database(path);
  const spool = new EventSpool(database, () => 0);
  const storeErrors: unknown[] = [];
  const clock = new ManualClock();
  const events = new Events({
    spool,
    clock,
    queueEventsMax: 1_000,
    queueBytesMax: 1_000_000,
    eventBytesMax: 10_000,
    emittedTypes: ["health_check"],
    redaction: new Redactor(new Secrets(clock)),
    onStoreError: (error) => storeErrors.push(error),
    ...limits,
  });
  const dispose = (): void => {
    database[Symbol.dispose]();
    folder[Symbol.dispose]();
  };
  const gaps = (): unknown[] =>
    spool.after(0, 10_000).flatMap(({ type, body }) => (type === "gap" ? [(JSON.parse(body) as EventBody).data] : []));
  return { path, database, spool, events, storeErrors, clock, gaps, [Symbol.dispose]: dispose };
}

const event = (id: string, data: unknown = null, type = "t"): EventBody => ({
  event_id: id,
  event_type: type,
  timestamp: 0,
  data,
  severity: "info",
});

/** The queue in which callers have exactly so much room: an eighth of it is not for them. */
function queueBytesFor(bytes: number): number {
  let queue = bytes;
  while (queue - reserveOf({ eventsMax: 0, bytesMax: queue }).bytes < bytes) queue += 1;
  return queue;
}

const sizeOf = (one: EventBody): number => Buffer.byteLength(JSON.stringify(one));

const refused =
  (type: ErrorType, ...quoted: (string | number)[]) =>
  (error: unknown): boolean =>
    error instanceof HlError && error.type === type && quoted.every((text) => error.message.includes(String(text)));

describe("events: acceptance", () => {
  test("X4: a secret that the daemon knows is in no event, whoever hands it over, and a size counts as it is stored", async () => {
    const secrets = new Secrets(new ManualClock());
    secrets.hold("a command", { SECRET_TOKEN: "hunter2-hunter2", PIN_KEY: "424242" });
    using f = fixture({ redaction: new Redactor(secrets), eventBytesMax: 1_000 });
    const note = event("a", { text: "it is hunter2-hunter2", "hunter2-hunter2": 71424242 });
    await f.events.accept({ ...note, tags: { of: "hunter2-hunter2" } });
    f.events.emit("health_check", { said: Buffer.from("hunter2-hunter2").toString("base64") });
    await f.events.accept(event("b", { text: "nothing of it" }));
    const bodies = f.spool.after(0, 10).map(({ body }) => JSON.parse(body) as EventBody);
    assert.deepEqual(bodies[0], {
      ...note,
      data: { text: "it is [redacted:SECRET_TOKEN]", "[redacted:SECRET_TOKEN]": "71[redacted:PIN_KEY]" },
      tags: { of: "[redacted:SECRET_TOKEN]" },
    });
    assert.deepEqual(bodies[1]?.data, { said: "[redacted:SECRET_TOKEN]" });
    assert.equal(f.spool.after(2, 1)[0]?.body, JSON.stringify(event("b", { text: "nothing of it" })));
    const grows = event("c", "424242".repeat(100).replaceAll("24242", "24242 "));
    assert.ok(sizeOf(grows) <= 1_000);
    await assert.rejects(f.events.accept(grows), refused("event_invalid", "1000 are allowed"));
    const tagged = { ...event("d"), tags: { of: "424242 ".repeat(140) } };
    await assert.rejects(f.events.accept(tagged), refused("event_invalid", "tags"));
  });

  test("X4: a secret as the id or in the type of a caller's event is refused, without telling it, and the daemon's own are never", async () => {
    const secrets = new Secrets(new ManualClock());
    secrets.hold("a command", { TOKEN: "health_check" });
    using f = fixture({ redaction: new Redactor(secrets) });
    const refusedFor =
      (name: string) =>
      (error: unknown): boolean =>
        refused("event_invalid", name)(error) && !JSON.stringify(error).includes("health_check");
    await assert.rejects(f.events.accept(event("health_check-1")), refusedFor("event_id"));
    await assert.rejects(f.events.accept(event("1", null, "health_check")), refusedFor("event_type"));
    assert.equal(f.events.rejected, 2);
    await f.events.emitOnce("health_check-2", "health_check", {});
    assert.deepEqual(
      f.spool.after(0, 10).map(({ type }) => type),
      ["health_check"],
    );
  });

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
    await f.spool.acknowledge(perLane(1)); // Room again as soon as the cloud has taken one.
    await f.events.accept(event("d"));
    await assert.rejects(f.events.accept(event("e")), refused("queue_full"));
  });

  test("S2: queue_full comes at exactly the number of bytes, those in flight included, whatever the characters", async () => {
    const one = event("a", "🙂é世");
    using f = fixture({ queueBytesMax: queueBytesFor(3 * sizeOf(one)) });
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
    const stored = f.spool.pending("critical", 10, 1_000).map((each) => f.events.stored(each));
    assert.deepEqual(
      stored.map((each) => [each.event_type, each.severity, each.data, each.seq]),
      [["health_check", "warning", { status: "healthy" }, 1]],
    );
    assert.equal(f.events.rejected, 1);
    assert.deepEqual(f.storeErrors, []);
  });
});

/** Gaps are written when the disk gets to it. */
async function untilTold(f: Fixture, count: number): Promise<Gap[]> {
  while (f.gaps().length < count) await settled();
  await settled();
  return f.gaps() as Gap[];
}

describe("events: lanes and gaps", () => {
  const own = ["audit", "system_metric", "error", "agent.turn_completed"];

  test("S2: what is critical has room that nobody else can take, and callers have none of it, whatever they call theirs", async () => {
    using f = fixture({ queueEventsMax: 16, emittedTypes: own });
    for (let at = 0; at < 14; at += 1) await f.events.accept(event(`c${at}`, null, at % 2 === 0 ? "audit" : "t"));
    assert.equal(f.spool.waiting("critical").events, 0);
    await assert.rejects(f.events.accept(event("one more", null, "audit")), refused("queue_full", 14));
    for (const id of ["a", "b"]) await f.events.emitOnce(id, "audit", {});
    assert.deepEqual([f.spool.waiting("critical").events, f.spool.depth], [2, 16]);
    await f.events.emitOnce("c", "audit", {}); // Full to the last: refused, and told when there is room.
    await settled();
    assert.deepEqual([f.spool.depth, f.events.rejected, f.gaps()], [16, 2, []]);
    await f.spool.acknowledge(perLane(8));
    await f.clock.advance(10_000);
    const [gap, ...others] = await untilTold(f, 1);
    assert.deepEqual([gap?.lane, gap?.from, gap?.count, others], ["critical", null, 1, []]);
  });

  test("S2: nothing new is started into the last quarter of the reserve, which is for the ends of what runs", async () => {
    using f = fixture({ queueEventsMax: 64, emittedTypes: own }); // Reserve 8, of which 2 are for ends.
    for (let at = 0; at < 61; at += 1) await f.events.emitOnce(`a${at}`, "audit", {});
    f.events.assertRoomForStarts();
    await f.events.emitOnce("last", "audit", {});
    assert.throws(() => f.events.assertRoomForStarts(), refused("queue_full", 62));
    for (const id of ["end 1", "end 2"]) await f.events.emitOnce(id, "audit", {});
    assert.equal(f.events.rejected, 0);
    await f.spool.acknowledge(perLane(3));
    f.events.assertRoomForStarts();
  });

  test("S2: of metrics and logs the oldest go, a chunk of them, and each chunk is one gap that counts it", async () => {
    for (const [type, lane] of [
      ["system_metric", "metric"],
      ["error", "log"],
    ] as const) {
      using f = fixture({ queueEventsMax: 128, emittedTypes: own }); // 16 of each, gone in chunks of 4.
      for (let at = 1; at <= 21; at += 1) await f.events.emitOnce(`m${at}`, type, { at });
      const gap = (from: number, to: number): Partial<Gap> => ({ lane, from, to, count: 4 });
      const told = (f.gaps() as Gap[]).map(({ lane: of, from, to, count }) => ({ lane: of, from, to, count }));
      assert.deepEqual(told, [gap(1, 4), gap(5, 8)]);
      assert.deepEqual([f.spool.waiting(lane).events, f.spool.gaps, f.events.rejected], [13, 2, 0]);
      const [first] = f.gaps() as Gap[];
      assert.ok((first?.bytes ?? 0) > 4 * 50);
    }
  });

  test("S2: metrics that come together are counted once: kept, dropped and told add up", async () => {
    using f = fixture({ queueEventsMax: 128, queueBytesMax: 100_000, emittedTypes: own });
    const count = 2_000;
    for (let at = 0; at < count; at += 50) {
      await Promise.all(
        Array.from({ length: 50 }, (_, each) =>
          f.events.emitOnce(`m${at + each}`, "system_metric", { pad: "x".repeat((at + each) % 700) }),
        ),
      );
      await f.spool.acknowledge(new Map([["critical", f.events.nextSeq]])); // The cloud takes what is told first.
    }
    await f.clock.advance(20_000);
    const dropped = (f.gaps() as Gap[]).reduce((sum, gap) => sum + (gap.count ?? 0), 0);
    assert.equal(f.spool.waiting("metric").events + dropped, count);
    assert.ok(f.spool.waiting("metric").events <= 16 + 50);
    const byRows = f.database
      .prepare("SELECT count(*) AS events, sum(octet_length(body)) AS bytes FROM events WHERE lane = 'metric'")
      .get();
    assert.deepEqual({ ...byRows }, f.spool.waiting("metric"));
  });

  test("S2: a metric that finds no room because callers have taken all of it is refused, and told", async () => {
    using f = fixture({ queueEventsMax: 16, emittedTypes: own });
    for (let at = 0; at < 14; at += 1) await f.events.accept(event(`c${at}`));
    for (const id of ["m", "n"]) await f.events.emitOnce(id, "system_metric", {});
    await untilTold(f, 1);
    await f.clock.advance(10_000);
    const told = (await untilTold(f, 2)).map(({ lane, count, reason }) => [lane, count, reason]);
    assert.deepEqual(told, [
      ["metric", 1, "the queue was full"],
      ["metric", 1, "the queue was full"],
    ]);
  });

  test("S2: the daemon's own events that are too large or cannot be stored are told, once a round", async () => {
    using f = fixture({ eventBytesMax: 1_000, emittedTypes: own });
    for (let at = 0; at < 50; at += 1) await f.events.emitOnce(`x${at}`, "error", { text: "x".repeat(2_000) });
    assert.deepEqual(
      (await untilTold(f, 1)).map(({ count }) => count),
      [1],
    );
    await f.clock.advance(10_000);
    const gaps = await untilTold(f, 2);
    await f.clock.advance(10_000);
    assert.deepEqual(
      gaps.map(({ lane, count }) => [lane, count]),
      [
        ["log", 1],
        ["log", 49],
      ],
    );
    assert.ok((gaps[1]?.bytes ?? 0) > 49 * 2_000);
    assert.equal(f.clock.timers, 0);
  });

  test("S4: while the disk is full only what is critical is taken, and the reason is said", async () => {
    let reason: string | undefined = "the disk is full";
    using f = fixture({ emittedTypes: own, noSpace: () => reason });
    await assert.rejects(f.events.accept(event("a")), refused("no_space", "the disk is full"));
    await f.events.emitOnce("b", "audit", {});
    await f.events.emitOnce("c", "system_metric", {});
    await untilTold(f, 1);
    assert.deepEqual([f.spool.waiting("critical").events, f.spool.depth], [2, 2]); // The audit, and the gap of the metric.
    reason = undefined;
    await f.events.accept(event("a"));
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
    await f.spool.acknowledge(perLane(2));
    await f.spool.prune(new Map(), 0);
    const slow = follow(f.events, 0, { held: true });
    await settled();
    slow.release();
    await settled();
    assert.deepEqual(slow.seen, ["gap 1-2", 3, 4]);
    await f.spool.acknowledge(perLane(4));
    await f.spool.prune(new Map(), 0);
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
