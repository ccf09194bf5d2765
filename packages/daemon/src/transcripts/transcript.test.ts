/**
 * Goal: S2, S3, P3, P5: a reader of a transcript gets exactly the rest behind any number, also over a restart of the daemon, and what is
 * missing is told. Method: a real database; the agent's words, and where they were read, come from the test.
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import type { AgentItem } from "@hl/protocol/methods/claude-subscribe.ts";
import { ManualClock } from "@hl/testkit/manual-clock.ts";
import { temporaryFolder } from "@hl/testkit/programs.ts";
import { until } from "@hl/testkit/waiting.ts";
import { Redactor } from "../redaction/redactor.ts";
import { Secrets } from "../redaction/secrets.ts";
import { Database } from "../store/database.ts";
import { TranscriptRecords } from "../store/transcript-records.ts";
import { Transcript, type TranscriptOptions } from "./transcript.ts";

interface Told {
  readonly method: string;
  readonly params: AgentItem & { readonly from: number; readonly to: number };
}

interface Reader {
  readonly told: Told[];
  /** Numbers, `delta` for what has none, `from-to` for gaps. */
  shown(): (number | string)[];
  readonly done: Promise<void>;
  leave(): void;
}

interface World extends Disposable {
  readonly database: Database;
  readonly kept: string[];
  readonly errors: unknown[];
  open(options?: Partial<TranscriptOptions>): Transcript;
}

function world(): World {
  const folder = temporaryFolder("hl-transcript");
  const database = new Database(join(folder.path, "daemon.db"));
  const kept: string[] = [];
  const errors: unknown[] = [];
  const open: World["open"] = (options = {}) =>
    new Transcript("a", {
      records: new TranscriptRecords(database),
      clock: new ManualClock(),
      redact: (value) => value,
      redactStream: () => ({ push: (text) => text, end: () => "" }),
      bytesMax: 1_000_000,
      dataBytesMax: 10_000,
      onKept: ({ seq }, { runId, position, index }) => kept.push(`${seq}=${runId}.${position}.${index}`),
      onStoreError: (error) => errors.push(error),
      ...options,
    });
  const close = (): void => {
    database[Symbol.dispose]();
    folder[Symbol.dispose]();
  };
  return { database, kept, errors, open, [Symbol.dispose]: close };
}

function read(transcript: Transcript, from: number, hold?: Promise<void>): Reader {
  const leaving = new AbortController();
  const told: Told[] = [];
  const notify = async (method: string, params: unknown): Promise<void> => {
    told.push({ method, params: params as Told["params"] });
    await hold;
  };
  const shown: Reader["shown"] = () =>
    told.map(({ method, params }) =>
      method === "claude/gap" ? `${params.from}-${params.to}` : (params.seq ?? params.type),
    );
  const done = transcript.follow(from, notify, leaving.signal);
  return { told, shown, done, leave: () => leaving.abort() };
}

function fillDisk({ database }: World): void {
  const fail = "SELECT RAISE(FAIL, 'the disk is full')";
  database.prepare(`CREATE TRIGGER full BEFORE INSERT ON agent_events BEGIN ${fail}; END`).run();
}

const line = (position: number, past = false) => ({ runId: "run", position, past });
const said = (text: string, relayId?: string) => ({ type: "message", sessionId: "s", relayId, data: { text } });
const delta = { type: "delta", sessionId: "s", data: { text: "…" } };
const count = (reader: Reader, length: number): Promise<unknown> =>
  until(`${length} are told`, () => reader.told.length >= length);

test("from any number a reader gets exactly the rest, then what comes, until the end of the agent", async () => {
  using w = world();
  const transcript = w.open();
  for (let at = 1; at <= 40; at += 1) transcript.add(said(`m${at}`, "r1"), line(at * 10));
  const readers = [1, 17, 40, 41].map((from) => ({ from, reader: read(transcript, from) }));
  await count(readers[0]?.reader as Reader, 40);
  transcript.add(said("live"), line(500));
  transcript.add({ type: "ended", sessionId: "s", data: {} }, line(600));
  transcript.close();
  for (const { from, reader } of readers) {
    await reader.done;
    assert.deepEqual(
      reader.shown(),
      Array.from({ length: 43 - from }, (_, at) => from + at),
    );
  }
  const [{ params } = assert.fail("nothing")] = readers[0]?.reader.told ?? [];
  assert.deepEqual(
    [params.process_id, params.session_id, params.relay_id, params.data],
    ["a", "s", "r1", { text: "m1" }],
  );
  assert.deepEqual([transcript.firstSeq, transcript.nextSeq], [1, 43]);
});

test("P3: after a crash the log is read again: what was kept has its number, what was not is taken once, nothing is doubled", async () => {
  using w = world();
  const first = w.open();
  first.add(said("a"), line(10));
  first.add(said("b1"), line(20));
  first.add(said("b2"), line(20)); // Two events of one line.
  first.add(said("by the daemon"), line(20)); // Not in the log: a turn that is started.
  await count(read(first, 1), 4);

  const second = w.open();
  for (const [text, position] of [
    ["a", 10],
    ["b1", 20],
    ["b2", 20],
    ["c", 30],
  ] as const)
    second.add(said(text), line(position, true));
  second.add(said("live, of no line"), line(30));
  second.add(said("d"), line(40));
  const reader = read(second, 1);
  await count(reader, 7);
  const texts = reader.told.map(({ params }) => (params.data as { text: string }).text);
  assert.deepEqual(texts, ["a", "b1", "b2", "by the daemon", "c", "live, of no line", "d"]);
  assert.deepEqual(reader.shown(), [1, 2, 3, 4, 5, 6, 7]);
  reader.leave();
  const places = ["run.10.0", "run.20.0", "run.20.1", "run.20.2", "run.30.0", "run.30.1", "run.40.0"];
  assert.deepEqual(
    w.kept,
    places.map((place, at) => `${at + 1}=${place}`),
    "each is told to the spool once",
  );

  const third = w.open();
  third.add(said("d"), line(40, true));
  third.add(said("of no line again"), line(40));
  assert.equal(w.kept.at(-1), "8=run.40.1");
  third.add(said("another life of the agent has another log"), { runId: "run2", position: 5, past: true });
  assert.equal(w.kept.at(-1), "9=run2.5.0");
  await until("it is kept", () => new TranscriptRecords(w.database).use("a").last?.seq === 9);
});

test("at its limit of bytes the oldest go and a reader is told the gap; the newest always stays", async () => {
  using w = world();
  const probe = w.open();
  probe.add(said("x".repeat(100)), line(1));
  await count(read(probe, 1), 1);
  const each = new TranscriptRecords(w.database).use("a").bytes;
  const transcript = w.open({ bytesMax: each * 8 + 8 });
  for (let at = 2; at <= 8; at += 1) transcript.add(said("x".repeat(100)), line(at));
  await count(read(transcript, 1), 8);
  assert.equal(transcript.firstSeq, 1, "at the limit everything is there");
  transcript.add(said("x".repeat(101)), line(9));
  await until("there is room", () => transcript.firstSeq === 4);
  const reader = read(transcript, 2);
  await count(reader, 7);
  assert.deepEqual(reader.shown(), ["2-3", 4, 5, 6, 7, 8, 9]);
  const small = w.open({ bytesMax: 10 });
  small.add(said("y".repeat(5_000)), line(10));
  await until("only the newest is left", () => small.firstSeq === 10);
});

test("S2, S3: what could not be stored is told as a gap as soon as something behind it is kept, and to whoever comes later", async () => {
  using w = world();
  const transcript = w.open();
  transcript.add(said("a"), line(1));
  const reader = read(transcript, 1);
  await count(reader, 1);
  fillDisk(w);
  transcript.add(said("b"), line(2));
  transcript.add(said("c"), line(3));
  await until("it has failed", () => w.errors.length === 2);
  assert.deepEqual(reader.shown(), [1]);
  transcript.tell(delta);
  await until("what is not kept goes on", () => reader.shown().at(-1) === "delta");
  w.database.prepare("DROP TRIGGER full").run();
  transcript.add(said("d"), line(4));
  await until("it goes on", () => reader.shown().at(-1) === 4);
  assert.deepEqual(reader.shown(), [1, "delta", "2-3", 4]);
  const late = read(transcript, 1);
  await count(late, 3);
  assert.deepEqual(late.shown(), [1, "2-3", 4]);
});

test("S3: the next daemon gives no number to something else that a reader was told, nor refuses one that it was told to come back with", async () => {
  using w = world();
  const transcript = w.open();
  const reader = read(transcript, 1);
  transcript.add(said("a"), line(1));
  assert.equal(transcript.nextSeq, 1, "of what is not on disk no number is told");
  await count(reader, 1);
  assert.equal(transcript.nextSeq, 2);
  fillDisk(w);
  transcript.add(said("b"), line(2));
  transcript.add(said("c"), line(3));
  await until("it has failed", () => w.errors.length === 2);
  const told = { next: transcript.nextSeq, shown: reader.shown() };
  transcript.close();
  await reader.done;
  w.database.prepare("DROP TRIGGER full").run();
  assert.deepEqual(told, { next: 2, shown: [1] });
  const after = w.open();
  assert.equal(after.nextSeq, told.next);
  after.add(said("d"), line(4));
  const resumed = read(after, told.next);
  await count(resumed, 1);
  assert.deepEqual(resumed.shown(), [2]);
});

test("deltas come between what is kept, and only to who is there; what has passed is not told behind it", async () => {
  using w = world();
  const transcript = w.open();
  transcript.tell(delta);
  const reader = read(transcript, 1);
  transcript.add(said("question"), line(1));
  transcript.tell(delta);
  transcript.tell(delta);
  await count(reader, 3);
  transcript.add(said("answer"), line(2));
  await count(reader, 4);
  assert.deepEqual(reader.shown(), [1, "delta", "delta", 2]);
});

test("P5, P7: a reader that does not read delays nobody, holds a bounded number of deltas, and has missed nothing that is kept", async () => {
  using w = world();
  const transcript = w.open();
  const hold = Promise.withResolvers<undefined>();
  const slow = read(transcript, 1, hold.promise);
  const quick = read(transcript, 1);
  transcript.add(said("first"), line(1));
  await count(slow, 1);
  for (let at = 0; at < 300; at += 1) transcript.tell(delta);
  for (let at = 2; at <= 50; at += 1) transcript.add(said(`m${at}`), line(at));
  await until("the quick one has all", () => quick.shown().at(-1) === 50);
  assert.equal(slow.told.length, 1);
  hold.resolve(undefined);
  await until("the slow one has all", () => slow.shown().at(-1) === 50);
  const numbers = Array.from({ length: 50 }, (_, at) => at + 1);
  assert.deepEqual(slow.shown(), numbers, "deltas over the limit are left out with all of their message");
});

const log = (text: string) => ({ type: "log", sessionId: "s", data: { stream: "stdout", text } });
const unknown = { type: "unknown", sessionId: "s", data: { raw: {} } };

test("P5, P7: lines of log that are read at once are one event up to its largest size, in their place, and are not read twice", async () => {
  using w = world();
  const transcript = w.open({ dataBytesMax: 1_000 });
  const reader = read(transcript, 1);
  transcript.add(log("a"), line(10));
  transcript.add(log("b"), line(20));
  transcript.add(said("in between"), line(30));
  transcript.add(log("c"), line(40));
  transcript.tell(delta);
  transcript.add(log("d"), line(50));
  await count(reader, 5);
  assert.deepEqual(reader.shown(), [1, 2, 3, "delta", 4]);
  const texts = reader.told.map(({ params }) => (params.data as { text: string }).text);
  assert.deepEqual(texts, ["a\nb", "in between", "c", "…", "d"]);
  for (let at = 0; at < 10_000; at += 1) transcript.add(log("xy"), line(100 + at));
  await until("all are kept", () => w.kept.at(-1)?.endsWith("=run.10099.0"));
  await count(reader, w.kept.length + 1);
  const all = reader.told.slice(5).map(({ params }) => params.data as { text: string });
  assert.equal(all.map(({ text }) => text).join("\n"), Array(10_000).fill("xy").join("\n"));
  assert.ok(all.length <= 55 && all.every((data) => Buffer.byteLength(JSON.stringify(data)) <= 1_000));
  const before = w.kept.length;
  const next = w.open();
  for (let at = 9_990; at < 10_000; at += 1) next.add(log("xy"), line(100 + at, true));
  next.add(log("new"), line(20_000, true));
  next.close();
  assert.deepEqual(w.kept.slice(before), [`${before + 1}=run.20000.0`]);
});

test("P5, P7: of more than 100 events of noise in one read there is the number", async () => {
  using w = world();
  const transcript = w.open();
  const reader = read(transcript, 1);
  const flood = (times: number, from: number): void => {
    for (let at = 0; at < times; at += 1) transcript.add(at % 2 === 0 ? unknown : log("x"), line(from + at));
  };
  flood(100, 1);
  await count(reader, 100);
  assert.ok(
    reader.told.every(({ params }) => params.type !== "left_out"),
    "at the limit all are there",
  );
  flood(103, 201);
  transcript.add(said("not noise"), line(400));
  flood(2, 401);
  await count(reader, 203);
  assert.deepEqual(
    reader.told.slice(200).map(({ params }) => [params.type, params.data]),
    [
      ["left_out", { events: 3 }],
      ["message", { text: "not noise" }],
      ["left_out", { events: 2 }],
    ],
  );
});

test("P5, P7: who adds is asked to wait while more than 1,000 are on their way to disk", async () => {
  using w = world();
  const transcript = w.open();
  for (let at = 1; at <= 1_000; at += 1) transcript.add(said("x"), line(at));
  assert.equal(transcript.room(), undefined);
  transcript.add(said("x"), line(1_001));
  await transcript.room();
  assert.equal(transcript.room(), undefined);
  await until("all are kept", () => transcript.nextSeq === 1_002);
});

test("what follows from no line has its place behind a gap that was told before it", () => {
  using w = world();
  const transcript = w.open();
  transcript.add({ type: "gap", sessionId: "s", data: {} }, line(100));
  transcript.add(said("by the daemon"), line(40));
  assert.deepEqual(w.kept, ["1=run.100.0", "2=run.100.1"]);
});

test("P7: a delta that is larger than an event may be is left out, and the rest of its message with it", async () => {
  using w = world();
  const transcript = w.open({ dataBytesMax: 100 });
  const reader = read(transcript, 1);
  const fits = { ...delta, data: { text: "x".repeat(100 - JSON.stringify({ text: "" }).length) } };
  transcript.tell(fits);
  await count(reader, 1);
  transcript.tell({ ...delta, data: { text: `${fits.data.text}x` } });
  transcript.tell(delta);
  transcript.add(said("all of it"), line(1));
  await count(reader, 2);
  transcript.tell(delta);
  await count(reader, 3);
  assert.deepEqual(reader.shown(), ["delta", 1, "delta"]);
});

test("X4, P7: secrets are taken out before anything is cut, kept or told", async () => {
  using w = world();
  const redact = (value: unknown): unknown => JSON.parse(JSON.stringify(value).replaceAll("hunter2", "[redacted:X]"));
  const transcript = w.open({ redact, dataBytesMax: 1_000 });
  const reader = read(transcript, 1);
  transcript.tell({ ...delta, sessionId: "hunter2", data: { text: "hunter2" } });
  transcript.add({ ...said(`hunter2 ${"long ".repeat(1_000)}`), sessionId: "of hunter2" }, line(1));
  await count(reader, 2);
  assert.ok(!JSON.stringify(reader.told).includes("hunter2"));
  const [, { params } = assert.fail("nothing")] = reader.told;
  assert.equal(params.session_id, "of [redacted:X]");
  assert.match((params.data as { text: string }).text, /^\[redacted:X\] long /);
  assert.ok((params.omitted_bytes ?? 0) > 4_000 && Buffer.byteLength(JSON.stringify(params.data)) <= 1_000);
  reader.leave();
  await reader.done;
});

test("X4: a secret that is split over deltas is told to nobody, whatever comes between its pieces", async () => {
  using w = world();
  const secrets = new Secrets(new ManualClock());
  secrets.holdOwn("o", { A_TOKEN: "sk-ant-0123456789" });
  const redactor = new Redactor(secrets);
  const transcript = w.open({ redact: (value) => redactor.redact(value), redactStream: () => redactor.stream() });
  const delta = (text: string, more: object = {}): void =>
    transcript.tell({ type: "delta", sessionId: "s", data: { kind: "text", text, ...more } });
  delta("it is sk-an"); // Before anybody reads.
  const reader = read(transcript, 1);
  delta("I think", { kind: "thinking" });
  delta("t-01234", { subagent_of: "t" });
  delta("t-01234");
  transcript.add({ type: "tool_call", sessionId: "s", data: {} }, { runId: "r", position: 1, past: false });
  delta("56789, yes; and sk-a");
  transcript.add(
    { type: "message", sessionId: "s", data: { text: "all of it" } },
    { runId: "r", position: 2, past: false },
  );
  await until("the message", () => reader.told.length >= 6);
  assert.deepEqual(
    reader.told.map(({ params }) => (params.data as { text?: string }).text ?? params.type),
    ["I think", "t-01234", "tool_call", "[redacted:A_TOKEN], yes; and ", "sk-a", "all of it"],
  );
  reader.leave();
  await reader.done;
});
