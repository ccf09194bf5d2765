/**
 * Goal: S1, S2, S3: whatever the cloud forgets, whoever else has used numbers of this epoch, and whatever answers are lost, in the end the
 * cloud has every event that was accepted, or a gap that says which are missing: only what was delivered and forgotten here.
 * Method: random steps of a spool beside a cloud that keeps events as hl-cloud does, is restored from older copies, and takes events of
 * a copied daemon in between.
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import { lanes, type Gap, type Lane, type LanesAcked } from "@hl/protocol/event-lanes.ts";
import { temporaryFolder } from "@hl/testkit/programs.ts";
import { Database } from "./database.ts";
import { EventSpool } from "./event-spool.ts";
import type { SpooledEvent } from "./spooled-event.ts";
import type { SpoolText } from "./spool-text.ts";

interface Cursor {
  readonly seq: number;
  readonly id: string;
}

interface Kept {
  readonly bodies: Map<string, string>;
  /** By epoch and sequence number. */
  readonly numbers: Set<string>;
  readonly cursors: Map<string, Partial<Record<Lane, Cursor>>>;
}

interface Numbered {
  readonly id: string;
  readonly seq: number;
  readonly lane: Lane;
}

function withId<E extends Pick<SpooledEvent, "body">>(event: E): E & { readonly id: string } {
  return { ...event, id: (JSON.parse(event.body) as { event_id: string }).event_id };
}

class Cloud {
  runId = 0;
  #kept: Kept = { bodies: new Map(), numbers: new Set(), cursors: new Map() };
  #backup = structuredClone(this.#kept);

  /** Whether one of them has the number of another event. */
  take(epoch: string, batch: readonly (Omit<SpooledEvent, "type"> & { readonly id: string })[]): boolean {
    const { bodies, numbers, cursors } = this.#kept;
    const conflicts = batch.map(({ id, seq, lane, body }) => {
      if (!bodies.has(id) && numbers.has(`${epoch} ${seq}`)) return true;
      bodies.set(id, body);
      numbers.add(`${epoch} ${seq}`);
      const known = cursors.get(epoch) ?? {};
      if (seq > (known[lane]?.seq ?? 0)) cursors.set(epoch, { ...known, [lane]: { seq, id } });
      return false;
    });
    return conflicts.includes(true);
  }

  acked(epoch: string): LanesAcked {
    const cursors = Object.entries(this.#kept.cursors.get(epoch) ?? {});
    return {
      epoch,
      lanes: Object.fromEntries(cursors.map(([lane, { seq }]) => [lane, seq])),
      event_ids: Object.fromEntries(cursors.map(([lane, { id }]) => [lane, id])),
    };
  }

  get gaps(): Gap[] {
    return [...this.#kept.bodies.values()].flatMap((body) => {
      const { event_type: type, data } = JSON.parse(body) as { event_type?: string; data?: Gap };
      return type === "gap" && data !== undefined ? [data] : [];
    });
  }

  backUp(): void {
    this.#backup = structuredClone(this.#kept);
  }

  restore(): void {
    this.#kept = structuredClone(this.#backup);
    this.runId += 1;
  }

  has(id: string): boolean {
    return this.#kept.bodies.has(id);
  }
}

type Step =
  | { readonly kind: "append"; readonly lane: Lane; readonly count: number }
  | { readonly kind: "send"; readonly count: number; readonly isAnswered: boolean }
  | { readonly kind: "back up" | "restore" | "copy" }
  | { readonly kind: "forget"; readonly bytesMax: number }
  | { readonly kind: "copy sends"; readonly of: readonly Lane[] };

const lane = fc.constantFrom(...lanes);
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ kind: fc.constant("append" as const), lane, count: fc.integer({ min: 1, max: 4 }) }),
  },
  {
    weight: 6,
    arbitrary: fc.record({ kind: fc.constant("send" as const), count: fc.nat(5), isAnswered: fc.boolean() }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constantFrom("back up" as const, "restore" as const, "copy" as const) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant("forget" as const), bytesMax: fc.nat(100) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant("copy sends" as const), of: fc.array(lane, { maxLength: 4 }) }),
  },
);

/** Found by thinking, and seldom by chance: what a copy wrote reaches up to a number whose event is forgotten here, or was in another lane. */
const examples: Step[][] = [
  [
    { kind: "append", lane: "session", count: 2 },
    { kind: "send", count: 2, isAnswered: true },
    { kind: "forget", bytesMax: 0 },
    { kind: "restore" },
    { kind: "copy sends", of: ["session"] },
  ],
  [
    { kind: "append", lane: "session", count: 1 },
    { kind: "append", lane: "metric", count: 2 },
    { kind: "append", lane: "session", count: 1 },
    { kind: "append", lane: "metric", count: 1 },
    { kind: "send", count: 5, isAnswered: true },
    { kind: "forget", bytesMax: 34 },
    { kind: "restore" },
    { kind: "copy sends", of: ["session", "session"] },
  ],
];

test("S1, S2, S3: in the end the cloud has everything, or is told what is missing, whatever it has forgotten and whoever used the same numbers", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
      using folder = temporaryFolder("hl-spool");
      using database = new Database(join(folder.path, "daemon.db"));
      const spool = new EventSpool(database, () => 1_000);
      const cloud = new Cloud();
      const accepted: Numbered[] = [];
      const forgotten: Numbered[] = [];
      let copied = { epoch: spool.epoch, next: 1 };
      let comparedWith = -1;
      const { epoch } = spool;
      const send = async (count: number, isAnswered: boolean): Promise<void> => {
        if (comparedWith !== cloud.runId) {
          await spool.reconcile(cloud.acked(spool.epoch));
          comparedWith = cloud.runId;
        }
        const batch = lanes.flatMap((each) => spool.pending(each, 100, 1_000_000)).slice(0, count);
        if (cloud.take(spool.epoch, batch.map(withId))) return spool.beginEpoch();
        if (isAnswered) await spool.acknowledge(new Map(batch.map((event) => [event.lane, event.seq])));
      };
      for (const each of steps) {
        if (each.kind === "append") {
          for (let count = 0; count < each.count; count += 1) {
            const id = `e${accepted.length}`;
            const body = JSON.stringify({ event_id: id }) as SpoolText;
            const seq = await spool.append({ id, type: "t", lane: each.lane, body });
            accepted.push({ id, seq, lane: each.lane });
          }
        } else if (each.kind === "send") await send(each.count, each.isAnswered);
        else if (each.kind === "back up") cloud.backUp();
        else if (each.kind === "restore") cloud.restore();
        else if (each.kind === "forget") {
          const before = spool.after(0, 1_000).map(withId);
          await spool.prune(new Map(), each.bytesMax);
          const kept = new Set(spool.after(0, 1_000).map(({ seq }) => seq));
          forgotten.push(...before.filter(({ seq }) => !kept.has(seq)));
        } else if (!("of" in each)) copied = { epoch: spool.epoch, next: spool.nextSeq };
        else {
          for (const of of each.of) {
            const seq = copied.next++;
            cloud.take(copied.epoch, [{ seq, lane: of, id: `copy ${copied.epoch} ${seq}`, body: "{}" }]);
          }
          comparedWith = -1; // The copy was connected meanwhile, so the first one connects anew.
        }
      }
      comparedWith = -1;
      for (let turns = 0; turns === 0 || spool.depth > 0; turns += 1) {
        assert.ok(turns < 10, "one epoch begins after the other");
        await send(1_000, true);
      }
      const { gaps } = cloud;
      const missing = accepted.filter((event) => !cloud.has(event.id));
      const isTold = ({ lane, seq }: Numbered): boolean =>
        gaps.some((gap) => gap.lane === lane && (gap.from ?? Infinity) <= seq && seq <= (gap.to ?? 0));
      assert.deepEqual(
        missing.filter((event) => !isTold(event)),
        [],
      );
      // What is still here is sent, and not told as missing; and a gap ends with something that is not here any more.
      const isForgotten = (of: Lane | null, at: number | null): boolean =>
        forgotten.some(({ lane, seq }) => lane === of && seq === at);
      assert.ok(missing.every(({ lane, seq }) => isForgotten(lane, seq)));
      assert.ok(gaps.every((gap) => isForgotten(gap.lane, gap.to)));
      if (!steps.some(({ kind }) => kind === "restore" || kind === "copy sends"))
        assert.deepEqual([gaps, spool.epoch], [[], epoch]);
    }),
    { numRuns: 300, examples: examples.map((steps) => [steps]) },
  );
});

test("S1: a number that was dropped here and is another event's in the cloud is no agreement on what was delivered before it", async () => {
  using folder = temporaryFolder("hl-spool");
  using database = new Database(join(folder.path, "daemon.db"));
  const spool = new EventSpool(database, () => 1_000);
  const cloud = new Cloud();
  const { epoch } = spool;
  const append = (id: string): Promise<number> =>
    spool.append({ id, type: "t", lane: "metric", body: JSON.stringify({ event_id: id }) as SpoolText });
  const send = async (): Promise<void> => {
    const batch = lanes.flatMap((each) => spool.pending(each, 100, 1_000_000));
    assert.equal(cloud.take(spool.epoch, batch.map(withId)), false);
    await spool.acknowledge(new Map(batch.map((event) => [event.lane, event.seq])));
  };
  await append("kept");
  await send();
  await append("dropped");
  await spool.dropOldest("metric", { events: 1, bytes: 1, bytesNeeded: 1 }, "full");
  await append("behind");
  await send();
  cloud.restore(); // To nothing.
  for (const seq of [1, 2]) cloud.take(epoch, [{ seq, lane: "metric", id: `copy ${seq}`, body: "{}" }]);
  await spool.reconcile(cloud.acked(epoch));
  await send();
  assert.deepEqual([cloud.has("kept"), cloud.has("behind")], [true, true]);
});
