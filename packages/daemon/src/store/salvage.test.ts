/**
 * Goal: S4, S2: whatever has happened to the file, the database opens, keeps what can be read, says what is missing, takes new events
 * under a new epoch, and does the same while it is in use. Method: a corpus of damaged copies of one real file: cut at many sizes,
 * seeded flipped bits, empty, garbage, without its log; every reader and writer of the daemon at each.
 */
import assert from "node:assert/strict";
import { copyFileSync, existsSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { after, before, describe, test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { WrittenByNewer } from "@hl/core/store/open-database.ts";
import { lanes, type Lane } from "@hl/protocol/event-lanes.ts";
import { systemClock } from "@hl/core/clock.ts";
import { HlError } from "@hl/protocol/errors.ts";
import { temporaryFolder } from "@hl/testkit/programs.ts";
import type { Approval } from "@hl/protocol/methods/approval-list.ts";
import { AgentRecords } from "./agent-records.ts";
import { ApprovalRecords, type ApprovalRecord } from "./approval-records.ts";
import { CommandRecords } from "./command-records.ts";
import { Database, type DatabaseClock } from "./database.ts";
import { EventSpool } from "./event-spool.ts";
import type { SpoolText } from "./spool-text.ts";
import type { NewEvent, SpooledEvent } from "./spooled-event.ts";
import { Inbox } from "./inbox.ts";
import { perLane } from "./lane-use.ts";

const perLaneCount = 200;
const ackedUpTo = 100;

const laneAt = (number: number): Lane => lanes[number % lanes.length]!;
const event = (number: number): NewEvent => {
  const body = JSON.stringify({ event_id: `e${number}`, data: `${number} ${"x".repeat(number % 900)}` });
  return { id: `e${number}`, type: "t", lane: laneAt(number), body: body as SpoolText };
};

interface Parts extends Disposable {
  readonly database: Database;
  readonly spool: EventSpool;
  readonly commands: CommandRecords;
  readonly agents: AgentRecords;
  readonly inbox: Inbox;
  readonly approvals: ApprovalRecords;
}

function open(path: string, clock?: DatabaseClock): Parts {
  const database = new Database(path, clock);
  const spool = new EventSpool(database, () => 1_000);
  const commands = new CommandRecords(database);
  database.onReplaced((rescued) => {
    spool.reload(rescued);
    commands.reload();
  });
  const agents = new AgentRecords(database);
  const inbox = new Inbox(database, () => 1_000);
  const approvals = new ApprovalRecords(database);
  return { database, spool, commands, agents, inbox, approvals, [Symbol.dispose]: () => database[Symbol.dispose]() };
}

const approvalOf = (id: string, state = "pending"): ApprovalRecord => {
  const approval = { approval_id: id, state, process_id: "a1", input: { command: "x" } } as unknown as Approval;
  return { approval, agentRequestId: id, bytes: 1 };
};

async function build(path: string): Promise<string> {
  using parts = open(path);
  const { spool, commands, inbox, agents, database } = parts;
  const numbers = Array.from({ length: perLaneCount * lanes.length }, (_, at) => at + 1);
  await Promise.all(numbers.map((number) => spool.append(event(number))));
  await spool.acknowledge(perLane(ackedUpTo));
  for (let at = 0; at < 60; at += 1) {
    const record = { runId: `r${at}`, paramsHash: "h", command: "true", args: ["a", "é"], bootId: "b", startedMs: at };
    await commands.begin({ commandId: `c${at}`, ...record });
    if (at % 2 === 0) await commands.end(`c${at}`, at + 1, { reason: "exited" }, 10);
    await inbox.receive(`q${at}`, "command/execute");
    if (at % 2 === 0) await inbox.answer(`q${at}`, '{"result":{}}');
  }
  const agent = { sessionId: "s", workspacePath: "/w", protocol: "stream-json", startedMs: 1 };
  await agents.begin({ processId: "a1", ...agent });
  for (const id of ["p1", "p2"]) await parts.approvals.begin(approvalOf(id));
  await parts.approvals.end(approvalOf("p1", "denied"), 5);
  return database.epoch;
}

/** Everything that the daemon reads and writes; none of it may throw. Answers the events that wait. */
async function use(parts: Parts): Promise<SpooledEvent[]> {
  const { spool, commands, agents, inbox } = parts;
  const waiting = (): SpooledEvent[] => lanes.flatMap((lane) => spool.pending(lane, 10_000, 100_000_000));
  waiting();
  spool.after(0, 10_000);
  spool.figures();
  commands.unfinished();
  commands.newest(1_000);
  commands.oldest(1_000);
  commands.commandIdsByRun();
  parts.approvals.pending();
  parts.approvals.ended({ processId: undefined, state: undefined }, 10);
  for (const { processId } of agents.all()) agents.openTurns(processId);
  await inbox.receive("new", "command/execute");
  await inbox.prune(0, 10_000);
  await spool.append({ id: "new", type: "t", lane: "session", body: '{"event_id":"new"}' as SpoolText });
  await spool.acknowledge(spool.acked());
  const found = waiting();
  assert.ok(found.some(({ body }) => body.includes('"new"')));
  return found;
}

const gapsIn = (events: readonly SpooledEvent[]): SpooledEvent[] => events.filter(({ type }) => type === "gap");
/** A flipped bit may have made a body something else; those stay for the cloud to refuse. */
const ids = (events: readonly SpooledEvent[]): string[] =>
  events.map(({ body }) => /"event_id":"([^"]*)"/.exec(body)?.[1] ?? "?");
const undelivered = Array.from(
  { length: perLaneCount * lanes.length - ackedUpTo },
  (_, at) => `e${ackedUpTo + at + 1}`,
);

function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

describe("a damaged database", () => {
  let original: string;
  let bytes: number;
  let epoch: string;
  const source = temporaryFolder("hl-salvage");

  before(async () => {
    original = join(source.path, "daemon.db");
    epoch = await build(original);
    bytes = readFileSync(original).length;
  });

  after(() => source[Symbol.dispose]());

  /** A damaged copy is opened, used, opened again and used again. */
  async function tried(
    damage: (path: string) => void,
  ): Promise<{ waiting: SpooledEvent[]; epoch: string; setAside: string | undefined }> {
    using folder = temporaryFolder("hl-salvage");
    const path = join(folder.path, "daemon.db");
    copyFileSync(original, path);
    damage(path);
    let waiting: SpooledEvent[];
    {
      using parts = open(path);
      waiting = await use(parts);
      assert.ok(parts.spool.nextSeq > 1);
    }
    using again = open(path);
    const { database } = again;
    assert.deepEqual(await use(again).then((events) => ids(events).slice(0, -1).length >= waiting.length - 1), true);
    assert.ok(readdirSync(folder.path).filter((name) => /corrupt-[0-9TZ]+$/.test(name)).length <= 1);
    return { waiting, epoch: database.epoch, setAside: database.setAside };
  }

  test("S1, S4: an undamaged one is left alone", async () => {
    const outcome = await tried(() => {});
    assert.deepEqual([outcome.epoch, outcome.setAside], [epoch, undefined]);
    assert.deepEqual(ids(outcome.waiting).sort(), [...undelivered, "new"].sort());
  });

  test("S2, S4: cut at many sizes: what is left of it is saved and is what was stored, and a gap says that it is not all", async () => {
    let saved = 0;
    for (let part = 1; part < 12; part += 1) {
      for (const odd of [0, 1, 100, 2_048]) {
        const size = Math.floor((bytes * part) / 12 / 4_096) * 4_096 + odd;
        const { waiting, epoch: after } = await tried((path) => truncateSync(path, size));
        const found = ids(waiting).filter((id) => /^e\d+$/.test(id));
        for (const { body } of waiting) {
          const [id = ""] = ids([{ body } as SpooledEvent]);
          if (/^e\d+$/.test(id)) assert.equal(body, event(Number(id.slice(1))).body);
        }
        assert.equal(new Set(found).size, found.length);
        if (undelivered.some((id) => !found.includes(id))) {
          assert.equal(gapsIn(waiting).length, 1, `no gap at ${size}`);
          assert.notEqual(after, epoch);
        }
        saved += found.length;
      }
    }
    assert.ok(saved > 500, `only ${saved} were saved of all`);
  });

  test("S4: bits flipped anywhere, few or many: it opens and works", async () => {
    for (let seed = 1; seed <= 80; seed += 1) {
      const next = random(seed);
      const flips = [1, 2, 8, 64][seed % 4]!;
      await tried((path) => {
        const file = readFileSync(path);
        for (let flip = 0; flip < flips; flip += 1) {
          // Every third in the first page: header and schema.
          const at = Math.floor(next() * (seed % 3 === 0 ? 200 : file.length));
          file[at] = file[at]! ^ (1 << Math.floor(next() * 8));
        }
        writeFileSync(path, file);
      }).catch((error: unknown) => {
        // A bit of the schema's number: as good as true, and never touched.
        if (error instanceof WrittenByNewer) return;
        throw new Error(`seed ${seed}`, { cause: error });
      });
    }
  });

  test("S2, S4: empty, garbage, and garbage behind a true header: nothing can be saved, and a gap says so", async () => {
    const noise = Buffer.from(Array.from({ length: 50_000 }, (_, at) => (at * 7_919) % 251));
    const header = readFileSync(original).subarray(0, 100);
    for (const content of [Buffer.alloc(0), noise, Buffer.concat([header, noise]), Buffer.alloc(50_000)]) {
      const { waiting, epoch: after, setAside } = await tried((path) => writeFileSync(path, content));
      assert.deepEqual([gapsIn(waiting).length, waiting.length], [1, 2]);
      assert.notEqual(after, epoch);
      assert.ok(setAside !== undefined);
    }
  });

  test("S4: without the log of an open file there is what the last checkpoint had, with a log of another file what is in it", async () => {
    using folder = temporaryFolder("hl-salvage");
    const live = join(folder.path, "live.db");
    await build(live);
    using parts = open(live);
    await parts.spool.append(event(9_999));
    await tried((path) => copyFileSync(live, path)); // Without live.db-wal.
    await tried((path) => copyFileSync(`${live}-wal`, `${path}-wal`));
    await tried((path) => writeFileSync(`${path}-wal`, "garbage"));
  });

  test("S4: only the newest corrupt file is kept, and a crash while it was set aside is taken up", async () => {
    using folder = temporaryFolder("hl-salvage");
    const path = join(folder.path, "daemon.db");
    writeFileSync(`${path}.corrupt-20200101T000000000Z`, "old");
    copyFileSync(original, path);
    truncateSync(path, Math.floor(bytes / 2));
    {
      using parts = open(path);
      await use(parts);
    }
    const kept = readdirSync(folder.path).filter((name) => /corrupt-[0-9TZ]+$/.test(name));
    assert.equal(kept.length, 1);
    assert.ok(!kept[0]!.includes("2020"));
    for (const suffix of ["", "-wal", "-shm"]) rmSync(`${path}${suffix}`, { force: true });
    writeFileSync(`${path}.new`, "half");
    using parts = open(path);
    assert.ok((await use(parts)).length > 2);
    assert.ok(!existsSync(`${path}.new`));
  });

  test("a file of a newer version is no damage", () => {
    using folder = temporaryFolder("hl-salvage");
    const path = join(folder.path, "daemon.db");
    copyFileSync(original, path);
    {
      using raw = new DatabaseSync(path);
      raw.exec("PRAGMA user_version = 900");
    }
    assert.throws(() => open(path), /newer/);
    assert.deepEqual(
      readdirSync(folder.path).filter((name) => name.includes("corrupt")),
      [],
    );
  });
});

describe("a database that is damaged while it is open", () => {
  test("S1, S2, S3, S4: reads and writes go on in a new file, numbers go on, and what waited in the queue is stored", async () => {
    using folder = temporaryFolder("hl-salvage");
    const path = join(folder.path, "daemon.db");
    await build(path);
    using parts = open(path);
    const { spool, database, commands } = parts;
    const { epoch } = database;
    const before = spool.nextSeq;
    const size = readFileSync(path).length;
    // Behind the back of SQLite, everything but the first pages; its cache knows little of the file yet.
    const file = readFileSync(path);
    for (let at = 8 * 4_096; at < size; at += 1) file[at] = file[at]! ^ 0xff;
    writeFileSync(path, file);
    database.prepare("PRAGMA shrink_memory").get();
    const writes = Array.from({ length: 20 }, (_, at) => spool.append(event(10_000 + at)));
    const seqs = await Promise.all(writes);
    await use(parts);
    assert.notEqual(database.epoch, epoch);
    assert.ok(database.setAside !== undefined);
    assert.ok(Math.min(...seqs) >= before, "a number was given twice");
    assert.equal(new Set(seqs).size, seqs.length);
    const waiting = lanes.flatMap((lane) => spool.pending(lane, 10_000, 100_000_000));
    assert.equal(gapsIn(waiting).length, 1);
    assert.equal(commands.finished.count, commands.oldest(1_000).length);
    const found = new Set(ids(waiting));
    for (let at = 0; at < 20; at += 1) assert.ok(found.has(`e${10_000 + at}`), `e${10_000 + at}`);
  });

  test("X4: a text that is no JSON any more is not quoted in the gap that tells of it", async () => {
    using folder = temporaryFolder("hl-salvage");
    using parts = open(join(folder.path, "daemon.db"));
    const { spool, database, commands } = parts;
    const record = { runId: "r", paramsHash: "h", command: "true", args: ["a"], bootId: "b", startedMs: 1 };
    await commands.begin({ commandId: "c", ...record });
    await database.write(() => database.prepare("UPDATE commands SET args = ?").run('["hunter2'));
    assert.equal(commands.find("c"), undefined);
    const [gap] = gapsIn(spool.pending("critical", 10, 1_000_000));
    assert.match(JSON.stringify(gap), /a text in it is not JSON/);
    assert.doesNotMatch(JSON.stringify(gap), /hunter2/);
  });

  /** Of 2,000 events those in the middle are damaged; each look at the clock takes long. */
  const damagedWhileOpen = async (path: string, isServing: boolean): Promise<Parts> => {
    let now = 0;
    const parts = open(path, { ...systemClock, now: () => (now += 100) });
    const { spool, database } = parts;
    if (isServing) database.beginServing();
    await Promise.all(Array.from({ length: 2_000 }, (_, at) => spool.append(event(at))));
    database.prepare("PRAGMA wal_checkpoint(TRUNCATE)").get();
    const file = readFileSync(path);
    // Whole pages: of one that begins well SQLite takes the numbers for what they are, and sees no damage.
    const from = Math.floor(file.length / 3 / 4_096) * 4_096;
    for (let at = from; at < file.length / 2; at += 1) file[at] = file[at]! ^ 0xff;
    writeFileSync(path, file);
    database.prepare("PRAGMA shrink_memory").get();
    return parts;
  };
  const isRefused = (error: unknown): boolean => error instanceof HlError && error.type === "store_failing";

  test("S4: what takes long to save is saved in slices: the event loop goes on, reads are refused, writes wait", async () => {
    using folder = temporaryFolder("hl-salvage");
    const path = join(folder.path, "daemon.db");
    using parts = await damagedWhileOpen(path, true);
    const { spool, database, commands } = parts;
    assert.throws(() => spool.after(0, 10_000), isRefused);
    const { nextSeq: before, epoch } = { nextSeq: 2_001, epoch: database.epoch };
    const late = spool.append(event(5_000));
    const both = Promise.all([late, database.write(() => "written")]);
    for (let turn = 0; turn < 5; turn += 1) {
      await setImmediate();
      assert.equal(database.isBeingSaved, true, `in turn ${turn}`);
      assert.throws(() => commands.find("c"), isRefused);
      assert.deepEqual([spool.figures().depth, spool.figures().deadLetters], [2_000, 0]);
    }
    assert.deepEqual((await both)[1], "written");
    assert.ok((await late) >= before, "a number was given twice");
    assert.deepEqual([database.isBeingSaved, database.epoch === epoch], [false, false]);
    const waiting = lanes.flatMap((lane) => spool.pending(lane, 10_000, 100_000_000));
    assert.equal(gapsIn(waiting).length, 1);
    const found = new Set(ids(waiting));
    for (const id of ["e0", "e1", "e1999", "e5000"]) assert.ok(found.has(id), id);
    assert.ok(found.size > 1_000 && found.size < 2_002, String(found.size));
    // Counted while it was saved, it is what a look into the table says.
    const useOf = (one: EventSpool): unknown => lanes.map((lane) => one.waiting(lane));
    assert.deepEqual(useOf(spool), useOf(new EventSpool(database, () => 0)));
  });

  test("S4: a start that meets corruption waits until what can be read is saved, however long that takes", async () => {
    using folder = temporaryFolder("hl-salvage");
    using parts = await damagedWhileOpen(join(folder.path, "daemon.db"), false);
    const found = new Set(ids(parts.spool.after(0, 10_000)));
    assert.equal(parts.database.isBeingSaved, false);
    assert.ok(found.has("e0") && found.has("e1999"));
  });

  test("S1, S4: a daemon that ends while it saves takes it up at the next start; what waited is refused", async () => {
    using folder = temporaryFolder("hl-salvage");
    const path = join(folder.path, "daemon.db");
    const parts = await damagedWhileOpen(path, true);
    assert.throws(() => parts.spool.after(0, 10_000), isRefused);
    const late = parts.spool.append(event(5_000));
    await setImmediate();
    parts[Symbol.dispose]();
    await assert.rejects(late, /closed/);
    assert.ok(!existsSync(path));
    using again = open(path);
    const found = new Set(ids(lanes.flatMap((lane) => again.spool.pending(lane, 10_000, 100_000_000))));
    assert.ok(found.has("e0") && found.has("e1999") && !found.has("e5000"));
  });
});
