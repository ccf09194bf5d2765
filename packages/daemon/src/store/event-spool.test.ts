/**
 * Goal: S1, S2, S3, S5: an accepted event stays until it is acknowledged, no sequence number comes twice, and the figures that
 * are kept beside the rows never differ from what the rows say.
 * Method: random steps beside a model; the file is opened anew at a random step, as after a kill, and must say the same.
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, test } from "node:test";
import { temporaryFolder } from "@hl/testkit/programs.ts";
import { openDatabase } from "@hl/core/store/open-database.ts";
import { lanes, type Gap, type Lane } from "@hl/protocol/event-lanes.ts";
import fc from "fast-check";
import { Database } from "./database.ts";
import { deadLetterBytesMax, deadLettersMax } from "./dead-letters.ts";
import { EventSpool, type SpoolFigures } from "./event-spool.ts";
import type { SpoolText } from "./spool-text.ts";
import type { NewEvent } from "./spooled-event.ts";
import { perLane } from "./lane-use.ts";
import { migrations } from "./migrations.ts";

interface Opened extends Disposable {
  readonly spool: EventSpool;
  readonly database: Database;
}

function open(folder: string): Opened {
  const database = new Database(join(folder, "daemon.db"));
  return { database, spool: new EventSpool(database, () => 1_000), [Symbol.dispose]: () => database[Symbol.dispose]() };
}

const event = (id: string, body = "{}", lane: Lane = "session"): NewEvent => ({
  id,
  type: "t",
  lane,
  body: body as SpoolText,
});
const seqs = (events: readonly { readonly seq: number }[]): number[] => events.map(({ seq }) => seq);
const waitingIn = (spool: EventSpool, lane: Lane = "session"): number[] => seqs(spool.pending(lane, 1_000, 1_000_000));

type Step =
  | { readonly kind: "append"; readonly lane: Lane; readonly bodies: readonly string[] }
  | { readonly kind: "acknowledge"; readonly lane: Lane; readonly behind: number; readonly refuse: boolean }
  | { readonly kind: "prune"; readonly lane: Lane; readonly behind: number; readonly bytes: number }
  | { readonly kind: "drop"; readonly lane: Lane; readonly events: number }
  | { readonly kind: "reconcile"; readonly lane: Lane; readonly behind: number; readonly isAnother: boolean }
  | { readonly kind: "epoch" }
  | { readonly kind: "keepNewest"; readonly keep: number; readonly bytes: number };

const body = fc.constantFrom('{"a":"x"}', '{"a":"é"}', '{"a":"🙂"}', '{"a":"\\u0000"}', '{"a":"世界"}');
const lane = fc.constantFrom(...lanes);
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant("append" as const),
      lane,
      bodies: fc.array(body, { minLength: 1, maxLength: 4 }),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({ kind: fc.constant("acknowledge" as const), lane, behind: fc.nat(6), refuse: fc.boolean() }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant("prune" as const), lane, behind: fc.nat(6), bytes: fc.nat(40) }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("drop" as const), lane, events: fc.nat(3) }) },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant("reconcile" as const), lane, behind: fc.nat(9), isAnother: fc.boolean() }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("epoch" as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("keepNewest" as const), keep: fc.nat(3), bytes: fc.nat(40) }) },
);

interface Row {
  readonly seq: number;
  readonly lane: Lane;
  readonly bytes: number;
}

class Model {
  /** All that was accepted and is still in the table. */
  rows: Row[] = [];
  readonly dead = new Set<number>();
  readonly acked: Record<Lane, number> = { critical: 0, session: 0, log: 0, metric: 0 };
  base = { ...this.acked };
  forgotten = { ...this.acked };
  newest = 0;
  gaps = 0;

  async play(spool: EventSpool, action: Step): Promise<void> {
    switch (action.kind) {
      case "append": {
        // Together, as in one turn of the loop.
        const given = await Promise.all(
          action.bodies.map((text, at) => spool.append(event(`e${this.newest + at}`, text, action.lane))),
        );
        for (const [at, seq] of given.entries()) {
          assert.equal(seq, this.newest + 1, "a sequence number was skipped or used again");
          this.newest = seq;
          this.rows.push({ seq, lane: action.lane, bytes: Buffer.byteLength(action.bodies[at]!) });
        }
        return;
      }
      case "acknowledge": {
        const seq = this.newest - action.behind;
        if (seq < 1) return;
        const refused = action.refuse && this.waitingIn(action.lane).some((row) => row.seq === seq);
        await spool.acknowledge(new Map([[action.lane, seq]]), new Map(refused ? [[seq, "no"]] : []));
        if (refused) this.dead.add(seq);
        this.acked[action.lane] = Math.max(this.acked[action.lane], seq);
        return;
      }
      case "prune": {
        const upTo = this.newest - action.behind;
        while (await spool.prune(new Map([[action.lane, upTo]]), action.bytes));
        for (const each of lanes) {
          const delivered = this.rows.filter((row) => row.lane === each && row.seq <= this.acked[each]);
          let kept = delivered.reduce((sum, { bytes }) => sum + bytes, 0);
          for (const row of delivered) {
            if (!(each === action.lane && row.seq <= upTo) && kept <= action.bytes) break;
            kept -= row.bytes;
            this.rows = this.rows.filter((other) => other !== row);
            if (!this.dead.has(row.seq)) this.forgotten[each] = row.seq;
          }
        }
        return;
      }
      case "drop": {
        const gone = this.waitingIn(action.lane).slice(0, Math.max(1, action.events));
        const room = { events: action.events, bytes: 1_000_000, bytesNeeded: 0 };
        await spool.dropOldest(action.lane, room, "full");
        if (gone.length === 0) return;
        this.rows = this.rows.filter((row) => !gone.includes(row));
        this.acked[action.lane] = gone.at(-1)!.seq;
        this.#gap(spool);
        return;
      }
      case "reconcile": {
        const theirs = Math.max(0, this.newest - action.behind);
        const has = { ...this.acked, [action.lane]: theirs };
        const before = spool.epoch;
        const ids = action.isAnother ? { event_ids: { [action.lane]: "of a copy" } } : {};
        const isUnknown =
          theirs > this.acked[action.lane] && !this.waitingIn(action.lane).some(({ seq }) => seq === theirs);
        await spool.reconcile({ epoch: before, lanes: has, ...ids });
        if (isUnknown || (action.isAnother && theirs > 0)) {
          assert.notEqual(spool.epoch, before);
          this.#epoch(spool);
          return;
        }
        assert.equal(spool.epoch, before);
        if (theirs >= this.acked[action.lane]) return;
        const from = Math.max(theirs, this.base[action.lane]);
        const again = this.rows.find(
          ({ seq, lane: of }) => of === action.lane && seq > from && seq <= this.acked[of] && !this.dead.has(seq),
        );
        if (again !== undefined) this.acked[action.lane] = again.seq - 1;
        if (this.forgotten[action.lane] <= from) return;
        this.forgotten[action.lane] = 0;
        this.#gap(spool);
        return;
      }
      case "epoch": {
        const before = spool.epoch;
        await spool.beginEpoch();
        assert.notEqual(spool.epoch, before);
        this.#epoch(spool);
        return;
      }
      case "keepNewest": {
        await spool.keepNewest(action.keep, action.bytes);
        let upTo = this.newest - action.keep;
        const fill = (): number =>
          this.waiting.filter(({ seq }) => seq > upTo).reduce((sum, { bytes }) => sum + bytes, 0);
        while (fill() > action.bytes) upTo += 1;
        if (lanes.every((each) => this.acked[each] >= upTo)) return;
        for (const each of lanes) {
          this.acked[each] = Math.max(this.acked[each], upTo);
          for (const { seq, lane: of } of this.rows) {
            if (of === each && seq <= this.acked[each] && !this.dead.has(seq)) this.forgotten[each] = seq;
          }
        }
        this.rows = this.rows.filter((row) => row.seq > this.acked[row.lane]);
      }
    }
  }

  /** All that is kept waits again, but for what was refused; what was delivered in the old one and is not kept is told. */
  #epoch(spool: EventSpool): void {
    const missed = lanes.filter((each) => this.forgotten[each] > this.base[each]);
    for (const each of lanes) {
      const again = this.rows.find(
        ({ seq, lane: of }) => of === each && seq <= this.acked[each] && !this.dead.has(seq),
      );
      if (again !== undefined) this.acked[each] = again.seq - 1;
    }
    this.base = { ...this.acked };
    this.forgotten = { critical: 0, session: 0, log: 0, metric: 0 };
    this.#gap(spool, missed.length);
  }

  /** Those that were just told: the newest rows. */
  #gap(spool: EventSpool, count = 1): void {
    const told = spool.after(this.newest, 10);
    assert.deepEqual(
      told.map(({ type, lane: of }) => [type, of]),
      Array.from({ length: count }, () => ["gap", "critical"]),
    );
    for (const { seq, body } of told) this.rows.push({ seq, lane: "critical", bytes: Buffer.byteLength(body) });
    this.newest += count;
    this.gaps += count;
  }

  waitingIn(of: Lane): Row[] {
    return this.waiting.filter((row) => row.lane === of);
  }

  get waiting(): Row[] {
    return this.rows.filter(({ seq, lane: of }) => seq > this.acked[of]);
  }

  check(spool: EventSpool): void {
    for (const each of lanes) assert.deepEqual(waitingIn(spool, each), seqs(this.waitingIn(each)));
    assert.deepEqual(seqs(spool.after(0, 1_000)), seqs(this.rows));
    const { waiting } = this;
    const bytes = waiting.reduce((sum, each) => sum + each.bytes, 0);
    const oldestMs = waiting.length === 0 ? undefined : 1_000;
    const figures: SpoolFigures = { depth: waiting.length, bytes, oldestMs, deadLetters: this.dead.size };
    assert.deepEqual(spool.figures(), figures);
    const ofLanes = lanes.map((each) => {
      const own = this.waitingIn(each);
      const size = own.reduce((sum, row) => sum + row.bytes, 0);
      return { lane: each, events: own.length, bytes: size, oldestMs: own.length === 0 ? undefined : 1_000 };
    });
    assert.deepEqual(spool.lanes(), ofLanes);
    assert.equal(spool.nextSeq, this.newest + 1);
  }
}

/** What was delivered takes no room of those that wait. */
const deliveredInBetween: Step[] = [
  { kind: "append", lane: "critical", bodies: ["{}", "{}"] },
  { kind: "append", lane: "log", bodies: ["{}"] },
  { kind: "acknowledge", lane: "log", behind: 0, refuse: false },
  { kind: "keepNewest", keep: 2, bytes: 2 },
];

describe("event spool", () => {
  test("S1, S2, S3, S5: opened anew after any step it says what the model says", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 30 }), fc.nat(30), async (steps, reopenAt) => {
        using folder = temporaryFolder("hl-spool");
        const model = new Model();
        for (const part of [steps.slice(0, reopenAt), steps.slice(reopenAt), []]) {
          using opened = open(folder.path);
          model.check(opened.spool);
          for (const action of part) {
            await model.play(opened.spool, action);
            model.check(opened.spool);
          }
        }
      }),
      { numRuns: 100, examples: [[deliveredInBetween, 0]] },
    );
  });

  test("S3: a sequence number is never used again, also when the newest rows were deleted before a restart", async () => {
    using folder = temporaryFolder("hl-spool");
    {
      using opened = open(folder.path);
      for (const id of ["a", "b"]) await opened.spool.append(event(id));
      await opened.spool.acknowledge(perLane(2));
      await opened.spool.prune(perLane(2), 0);
    }
    using opened = open(folder.path);
    assert.deepEqual(opened.spool.after(0, 10), []);
    assert.equal(opened.spool.nextSeq, 3);
    assert.equal(await opened.spool.append(event("c")), 3);
  });

  test("S1: acknowledged twice at once, or late, counts once", async () => {
    using folder = temporaryFolder("hl-spool");
    using opened = open(folder.path);
    const { spool } = opened;
    for (const id of ["a", "b", "c"]) await spool.append(event(id));
    await Promise.all([spool.acknowledge(perLane(2)), spool.acknowledge(perLane(2)), spool.acknowledge(perLane(1))]);
    assert.equal(spool.depth, 1);
    assert.equal(spool.bytes, 2);
    await spool.acknowledge(perLane(1));
    assert.deepEqual(waitingIn(spool), [3]);
  });

  test("S2: a refused event is kept with its reason, a second refusal changes nothing but that", async () => {
    using folder = temporaryFolder("hl-spool");
    using opened = open(folder.path);
    const { spool, database } = opened;
    await spool.append(event("a", '{"x":1}'));
    await spool.append(event("b"));
    await spool.acknowledge(perLane(1), new Map([[1, "malformed"]]));
    await spool.acknowledge(perLane(1), new Map([[1, "malformed again"]]));
    const rows = database.prepare("SELECT seq, body, reason FROM dead_letters").all();
    assert.deepEqual(
      rows.map((row) => ({ ...row })),
      [{ seq: 1, body: '{"x":1}', reason: "malformed again" }],
    );
    await spool.prune(perLane(1), 0);
    assert.deepEqual(seqs(spool.after(0, 10)), [2]);
    assert.equal(spool.figures().deadLetters, 1); // It outlives the event itself.
  });

  test("S2: pruning takes only what is delivered, by age or by size, and no more at a time than a write may take", async () => {
    using folder = temporaryFolder("hl-spool");
    using opened = open(folder.path);
    const { spool } = opened;
    await Promise.all(Array.from({ length: 1_010 }, (_, at) => spool.append(event(`e${at}`))));
    assert.equal(await spool.prune(perLane(1_010), 0), false);
    assert.equal(spool.after(0, 2_000).length, 1_010);
    await spool.acknowledge(perLane(1_008));
    assert.equal(await spool.prune(perLane(1_003), 1_000_000), true);
    assert.equal(await spool.prune(perLane(1_003), 1_000_000), false);
    assert.deepEqual(seqs(spool.after(0, 2_000)), [1_004, 1_005, 1_006, 1_007, 1_008, 1_009, 1_010]);
    await spool.prune(new Map(), 6); // Three of two bytes each.
    assert.deepEqual(seqs(spool.after(0, 10)), [1_006, 1_007, 1_008, 1_009, 1_010]);
    await spool.keepNewest(1.5, 100); // Without a cloud nothing else ever delivers.
    assert.deepEqual(seqs(spool.after(0, 10)), [1_010]);
    assert.equal(spool.depth, 1);
    await spool.keepNewest(100, 100);
    assert.equal(spool.depth, 1);
  });

  test("S2: dead letters are bounded by number and by size; the oldest go, and one gap says how many", async () => {
    using folder = temporaryFolder("hl-spool");
    using opened = open(folder.path);
    const { spool, database } = opened;
    const large = JSON.stringify({ text: "x".repeat(1_000_000) });
    for (let at = 0; at < 17; at += 1) {
      const seq = await spool.append(event(`e${at}`, large));
      await spool.acknowledge(perLane(seq), new Map([[seq, "no"]]));
      await spool.prune(perLane(seq), 0);
    }
    const { count, bytes } = database
      .prepare("SELECT count(*) AS count, sum(octet_length(body)) AS bytes FROM dead_letters")
      .get() as { count: number; bytes: number };
    assert.ok(bytes <= deadLetterBytesMax);
    const gaps = spool.pending("critical", 10, 10_000).map((gap) => (JSON.parse(gap.body) as { data: Gap }).data);
    assert.deepEqual(
      gaps.map(({ lane: of, from, count: gone, bytes: size }) => [of, from, gone, size]),
      [[null, 1, 17 - count, (17 - count) * large.length]],
    );
    assert.equal(spool.gaps, 1);
    // By number.
    await Promise.all(Array.from({ length: deadLettersMax + 1 }, (_, at) => spool.append(event(`s${at}`))));
    const rest = waitingIn(spool).length;
    assert.equal(rest, 1_000);
    const all = spool.after(0, 20_000).filter((each) => each.lane === "session");
    await spool.acknowledge(perLane(spool.nextSeq - 1), new Map(all.map(({ seq }) => [seq, "no"])));
    assert.ok(spool.figures().deadLetters <= deadLettersMax);
    assert.equal(spool.gaps, 2);
  });

  test("S2: what a full disk has taken of what was delivered, and a restored cloud lacks, is told as a gap", async () => {
    using folder = temporaryFolder("hl-spool");
    using opened = open(folder.path);
    const { spool } = opened;
    for (const id of ["a", "b", "c"]) await spool.append(event(id));
    await spool.acknowledge(perLane(3));
    spool.deleteDelivered();
    await spool.append(event("d"));
    await spool.reconcile({ epoch: spool.epoch, lanes: { session: 1 } });
    assert.deepEqual(waitingIn(spool), [4]);
    const [gap] = spool.pending("critical", 10, 10_000).filter(({ type }) => type === "gap");
    const { lane: of, from, to } = (JSON.parse(gap!.body) as { data: Gap }).data;
    assert.deepEqual([of, from, to], ["session", 2, 3]);
  });

  test("S1, S2: a cloud that names another event under a number is told everything again, and what is no longer here", async () => {
    using folder = temporaryFolder("hl-spool");
    using opened = open(folder.path);
    const { spool } = opened;
    for (const id of ["a", "b", "c"]) await spool.append(event(id));
    await spool.acknowledge(perLane(3));
    const { epoch } = spool;
    await spool.reconcile({ epoch, lanes: { session: 3 }, event_ids: { session: "c" } });
    assert.deepEqual([spool.epoch, waitingIn(spool)], [epoch, []]);
    await spool.prune(perLane(2), 0); // All of them, however new.
    await spool.reconcile({ epoch, lanes: { session: 3 }, event_ids: { session: "c" } });
    assert.deepEqual([spool.epoch, spool.depth], [epoch, 0]);
    await spool.append(event("d"));
    await spool.reconcile({ epoch, lanes: { session: 3 }, event_ids: { session: "of a copy" } });
    assert.notEqual(spool.epoch, epoch);
    assert.deepEqual(waitingIn(spool), [4]);
    const [gap] = spool.pending("critical", 10, 10_000);
    const { lane: of, from, to, count, reason } = (JSON.parse(gap!.body) as { data: Gap }).data;
    assert.deepEqual([of, from, to, count], ["session", 1, 3, null]);
    assert.match(reason, /nobody can say whether/);
  });

  test("S1, S3: of what is read while the spool goes back nothing is acknowledged", async () => {
    for (const theirs of [{ lanes: { session: 3 } }, { lanes: { session: 4 }, event_ids: { session: "of a copy" } }]) {
      using folder = temporaryFolder("hl-spool");
      using opened = open(folder.path);
      const { spool } = opened;
      for (let at = 1; at <= 5; at += 1) await spool.append(event(`e${at}`));
      await spool.acknowledge(perLane(5));
      await spool.append(event("e6"));
      const comparing = spool.reconcile({ epoch: spool.epoch, ...theirs });
      const { generation } = spool;
      assert.deepEqual(waitingIn(spool), [6]); // Not yet.
      await comparing;
      const waiting = waitingIn(spool);
      assert.ok(waiting.length >= 3);
      await spool.acknowledge(perLane(6), new Map(), generation);
      assert.deepEqual(waitingIn(spool), waiting);
    }
  });

  test("S2, S3: a database of before there were lanes goes on where it was", async () => {
    using folder = temporaryFolder("hl-spool");
    const path = join(folder.path, "daemon.db");
    {
      using old = openDatabase({ path, program: "hl-daemon", migrations: migrations.slice(0, 3) });
      const add = old.prepare(
        "INSERT INTO events (event_id, event_type, body, accepted_ms) VALUES (?, 't', '{}', 1000)",
      );
      for (const id of ["a", "b", "c", "d"]) add.run(id);
      old.exec("DELETE FROM events WHERE seq = 1; UPDATE delivery SET acked_seq = 2");
    }
    using opened = open(folder.path);
    const { spool } = opened;
    assert.deepEqual(waitingIn(spool), [3, 4]);
    assert.equal(await spool.append(event("e", "{}", "critical")), 5);
    await spool.reconcile({ epoch: spool.epoch, lanes: { session: 2, critical: 2, log: 2, metric: 2 } });
    assert.deepEqual(waitingIn(spool), [3, 4]);
    await spool.reconcile({ epoch: spool.epoch, lanes: {} });
    assert.deepEqual(waitingIn(spool), [2, 3, 4]);
    const [, gap] = spool.pending("critical", 10, 10_000);
    const { lane: of, from, to, count } = (JSON.parse(gap!.body) as { data: Gap }).data;
    assert.deepEqual([of, from, to, count], ["session", 1, 1, null]);
  });

  test("S3: a cloud that has what was never sent shows that this database was rolled back: a new epoch begins, once", async () => {
    using folder = temporaryFolder("hl-spool");
    using opened = open(folder.path);
    const { spool } = opened;
    for (const id of ["a", "b"]) await spool.append(event(id));
    const { epoch } = spool;
    await spool.reconcile({ epoch, lanes: { session: 2 } }); // Its answer was lost: it has both, and gets them again.
    assert.deepEqual([spool.epoch, waitingIn(spool)], [epoch, [1, 2]]);
    await spool.reconcile({ epoch: "another", lanes: { session: 99 } });
    assert.equal(spool.epoch, epoch);
    await spool.reconcile({ epoch, lanes: { session: 3 } });
    assert.notEqual(spool.epoch, epoch);
    assert.deepEqual(waitingIn(spool), [1, 2]);
  });
});
