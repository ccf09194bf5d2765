/**
 * Goal: S1, S2, S3, S5: an accepted event stays until it is acknowledged, no sequence number comes twice, and the figures that
 * are kept beside the rows never differ from what the rows say.
 * Method: random steps beside a model; the file is opened anew at a random step, as after a kill, and must say the same.
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, test } from "node:test";
import { temporaryFolder } from "@hl/testkit/programs.ts";
import fc from "fast-check";
import { Database } from "./database.ts";
import { EventSpool, type SpoolFigures } from "./event-spool.ts";

interface Opened extends Disposable {
  readonly spool: EventSpool;
  readonly database: Database;
}

function open(folder: string): Opened {
  const database = new Database(join(folder, "daemon.db"));
  return { database, spool: new EventSpool(database, () => 1_000), [Symbol.dispose]: () => database[Symbol.dispose]() };
}

const event = (id: string, body = "{}"): Parameters<EventSpool["append"]>[0] => ({ id, type: "t", body });
const seqs = (events: readonly { readonly seq: number }[]): number[] => events.map(({ seq }) => seq);

type Step =
  | { readonly kind: "append"; readonly bodies: readonly string[] }
  | { readonly kind: "acknowledge"; readonly behind: number; readonly refuse: boolean }
  | { readonly kind: "prune"; readonly keep: number }
  | { readonly kind: "keepNewest"; readonly keep: number; readonly bytes: number };

const body = fc.constantFrom('{"a":"x"}', '{"a":"é"}', '{"a":"🙂"}', '{"a":"\\u0000"}', '{"a":"世界"}');
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant("append" as const),
      bodies: fc.array(body, { minLength: 1, maxLength: 4 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant("acknowledge" as const), behind: fc.nat(6), refuse: fc.boolean() }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("prune" as const), keep: fc.nat(3) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("keepNewest" as const), keep: fc.nat(3), bytes: fc.nat(40) }) },
);

class Model {
  /** Sequence numbers and sizes of all that was ever accepted. */
  readonly accepted: { readonly seq: number; readonly bytes: number }[] = [];
  readonly dead = new Set<number>();
  acked = 0;
  newest = 0;

  async play(spool: EventSpool, action: Step): Promise<void> {
    switch (action.kind) {
      case "append": {
        // Together, as in one turn of the loop.
        const given = await Promise.all(
          action.bodies.map((text, at) => spool.append(event(`e${this.newest + at}`, text))),
        );
        for (const [at, seq] of given.entries()) {
          assert.equal(seq, this.newest + 1, "a sequence number was skipped or used again");
          this.newest = seq;
          this.accepted.push({ seq, bytes: Buffer.byteLength(action.bodies[at]!) });
        }
        return;
      }
      case "acknowledge": {
        const seq = this.newest - action.behind;
        if (seq < 1) return;
        const refused = action.refuse && seq > this.acked;
        await spool.acknowledge(seq, new Map(refused ? [[seq, "no"]] : []));
        if (refused) this.dead.add(seq);
        this.acked = Math.max(this.acked, seq);
        return;
      }
      case "prune":
        await spool.prune(action.keep, 1_000);
        return;
      case "keepNewest":
        await spool.keepNewest(action.keep, action.bytes);
        this.acked = Math.max(this.acked, this.newest - action.keep);
        while (this.waiting.reduce((sum, each) => sum + each.bytes, 0) > action.bytes)
          this.acked = this.waiting[0]!.seq;
    }
  }

  get waiting(): { readonly seq: number; readonly bytes: number }[] {
    return this.accepted.filter(({ seq }) => seq > this.acked);
  }

  check(spool: EventSpool): void {
    const { waiting } = this;
    assert.deepEqual(seqs(spool.pending(1_000)), seqs(waiting));
    const bytes = waiting.reduce((sum, each) => sum + each.bytes, 0);
    const oldestMs = waiting.length === 0 ? undefined : 1_000;
    const figures: SpoolFigures = { depth: waiting.length, bytes, oldestMs, deadLetters: this.dead.size };
    assert.deepEqual(spool.figures(), figures);
    assert.equal(spool.nextSeq, this.newest + 1);
  }
}

describe("event spool", () => {
  test("S1, S3, S5: opened anew after any step it says what the model says", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 20 }), fc.nat(20), async (steps, reopenAt) => {
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
      { numRuns: 60 },
    );
  });

  test("S3: a sequence number is never used again, also when the newest rows were deleted before a restart", async () => {
    using folder = temporaryFolder("hl-spool");
    {
      using opened = open(folder.path);
      for (const id of ["a", "b"]) await opened.spool.append(event(id));
      await opened.spool.acknowledge(2, new Map());
      assert.equal(await opened.spool.prune(0, 10), 2);
    }
    using opened = open(folder.path);
    assert.equal(opened.spool.oldestSeq(), undefined);
    assert.equal(opened.spool.nextSeq, 3);
    assert.equal(await opened.spool.append(event("c")), 3);
  });

  test("S1: acknowledged twice at once, or late, counts once", async () => {
    using folder = temporaryFolder("hl-spool");
    using opened = open(folder.path);
    const { spool } = opened;
    for (const id of ["a", "b", "c"]) await spool.append(event(id));
    await Promise.all([
      spool.acknowledge(2, new Map()),
      spool.acknowledge(2, new Map()),
      spool.acknowledge(1, new Map()),
    ]);
    assert.equal(spool.depth, 1);
    assert.equal(spool.bytes, 2);
    await spool.acknowledge(1, new Map());
    assert.deepEqual(seqs(spool.pending(10)), [3]);
  });

  test("S2: a refused event is kept with its reason, a second refusal changes nothing but that", async () => {
    using folder = temporaryFolder("hl-spool");
    using opened = open(folder.path);
    const { spool, database } = opened;
    await spool.append(event("a", '{"x":1}'));
    await spool.append(event("b"));
    await spool.acknowledge(1, new Map([[1, "malformed"]]));
    await spool.acknowledge(1, new Map([[1, "malformed again"]]));
    const rows = database.prepare("SELECT seq, body, reason FROM dead_letters").all();
    assert.deepEqual(
      rows.map((row) => ({ ...row })),
      [{ seq: 1, body: '{"x":1}', reason: "malformed again" }],
    );
    assert.equal(await spool.prune(0, 10), 1);
    assert.equal(spool.figures().deadLetters, 1); // It outlives the event itself.
  });

  test("S2: pruning takes only what is delivered, keeps the newest, and takes no more at a time than it may", async () => {
    using folder = temporaryFolder("hl-spool");
    using opened = open(folder.path);
    const { spool } = opened;
    for (let at = 0; at < 10; at += 1) await spool.append(event(`e${at}`));
    assert.equal(await spool.prune(0, 10), 0);
    await spool.acknowledge(8, new Map());
    assert.equal(await spool.prune(0, 3), 3);
    assert.equal(await spool.prune(4, 10), 3);
    assert.deepEqual(seqs(spool.after(0, 10)), [7, 8, 9, 10]);
    await spool.keepNewest(1.5, 100); // Without a cloud nothing else ever delivers.
    assert.deepEqual(seqs(spool.after(0, 10)), [10]);
    assert.equal(spool.depth, 1);
    await spool.keepNewest(100, 100);
    assert.equal(spool.depth, 1);
  });
});
