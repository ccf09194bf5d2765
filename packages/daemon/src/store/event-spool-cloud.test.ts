/**
 * Goal: S1, S3: whatever the cloud forgets, whoever else has used numbers of this epoch, and whatever answers are lost, in the end the
 * cloud has every event that was accepted.
 * Method: random steps of a spool beside a cloud that keeps events as hl-cloud does, is restored from older copies, and takes events of
 * a copied daemon in between.
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import { lanes, type Lane } from "@hl/protocol/event-lanes.ts";
import { temporaryFolder } from "@hl/testkit/programs.ts";
import { Database } from "./database.ts";
import { EventSpool } from "./event-spool.ts";
import type { SpooledEvent } from "./spooled-event.ts";
import type { SpoolText } from "./spool-text.ts";

interface Kept {
  readonly ids: Set<string>;
  /** By epoch and sequence number. */
  readonly numbers: Set<string>;
  readonly cursors: Map<string, Partial<Record<Lane, number>>>;
}

class Cloud {
  runId = 0;
  #kept: Kept = { ids: new Set(), numbers: new Set(), cursors: new Map() };
  #backup = structuredClone(this.#kept);

  /** Whether one of them has the number of another event. */
  take(epoch: string, batch: readonly (Pick<SpooledEvent, "seq" | "lane"> & { readonly id: string })[]): boolean {
    const { ids, numbers, cursors } = this.#kept;
    const conflicts = batch.map(({ id, seq, lane }) => {
      if (!ids.has(id) && numbers.has(`${epoch} ${seq}`)) return true;
      ids.add(id);
      numbers.add(`${epoch} ${seq}`);
      const known = cursors.get(epoch) ?? {};
      cursors.set(epoch, { ...known, [lane]: Math.max(known[lane] ?? 0, seq) });
      return false;
    });
    return conflicts.includes(true);
  }

  cursors(epoch: string): Partial<Record<Lane, number>> {
    return this.#kept.cursors.get(epoch) ?? {};
  }

  backUp(): void {
    this.#backup = structuredClone(this.#kept);
  }

  restore(): void {
    this.#kept = structuredClone(this.#backup);
    this.runId += 1;
  }

  has(id: string): boolean {
    return this.#kept.ids.has(id);
  }
}

const lane = fc.constantFrom(...lanes);
const step = fc.oneof(
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
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant("copy sends" as const), of: fc.array(lane, { maxLength: 4 }) }),
  },
);

test("S1, S3: in the end the cloud has everything, whatever it has forgotten and whoever used the same numbers", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
      using folder = temporaryFolder("hl-spool");
      using database = new Database(join(folder.path, "daemon.db"));
      const spool = new EventSpool(database, () => 1_000);
      const cloud = new Cloud();
      const accepted: string[] = [];
      let copied = { epoch: spool.epoch, next: 1 };
      let comparedWith = -1;
      const send = async (count: number, isAnswered: boolean): Promise<void> => {
        if (comparedWith !== cloud.runId) {
          await spool.reconcile({ epoch: spool.epoch, lanes: cloud.cursors(spool.epoch) });
          comparedWith = cloud.runId;
        }
        const batch = lanes.flatMap((each) => spool.pending(each, 100, 1_000_000)).slice(0, count);
        const withIds = batch.map((event) => ({
          ...event,
          id: (JSON.parse(event.body) as { event_id: string }).event_id,
        }));
        if (cloud.take(spool.epoch, withIds)) return spool.beginEpoch();
        if (isAnswered) await spool.acknowledge(new Map(batch.map((event) => [event.lane, event.seq])));
      };
      for (const each of steps) {
        if (each.kind === "append") {
          for (let count = 0; count < each.count; count += 1) {
            const id = `e${accepted.length}`;
            const body = JSON.stringify({ event_id: id }) as SpoolText;
            await spool.append({ id, type: "t", lane: each.lane, body });
            accepted.push(id);
          }
        } else if (each.kind === "send") await send(each.count, each.isAnswered);
        else if (each.kind === "back up") cloud.backUp();
        else if (each.kind === "restore") cloud.restore();
        else if (!("of" in each)) copied = { epoch: spool.epoch, next: spool.nextSeq };
        else {
          for (const of of each.of) {
            const seq = copied.next++;
            cloud.take(copied.epoch, [{ seq, lane: of, id: `copy ${copied.epoch} ${seq}` }]);
          }
          comparedWith = -1; // The copy was connected meanwhile, so the first one connects anew.
        }
      }
      comparedWith = -1;
      do await send(1_000, true);
      while (spool.depth > 0);
      assert.deepEqual(
        accepted.filter((id) => !cloud.has(id)),
        [],
      );
    }),
    { numRuns: 300 },
  );
});
