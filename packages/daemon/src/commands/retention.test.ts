/**
 * Goal: P7: finished commands are few, by age, bytes and number; the oldest end goes first, what runs never, and one that cannot be removed
 * is no reason to keep the others. Method: a real database; what removes folders is watched, and refuses where a test says so.
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, test } from "node:test";
import { silentLogger } from "@hl/core/logger.ts";
import { ManualClock, settled } from "@hl/testkit/manual-clock.ts";
import { temporaryFolder } from "@hl/testkit/programs.ts";
import { StartFailed } from "../runner/records.ts";
import { CommandRecords } from "../store/command-records.ts";
import { Database } from "../store/database.ts";
import { Pruner } from "./pruner.ts";
import { Retention, type RetentionLimits } from "./retention.ts";

interface World extends Disposable {
  readonly records: CommandRecords;
  readonly removed: string[];
  readonly held: Set<string>;
  readonly refusals: Map<string, Error>;
  readonly warnings: object[];
  prune(limits: Partial<RetentionLimits>, nowMs?: number, share?: number): Promise<boolean>;
  isFarOver(limits: Partial<RetentionLimits>): boolean;
  /** Runs are named as their commands; `count` of them ended at 1, 2, 3 … with ten bytes each. */
  finish(count: number): Promise<void>;
  left(): string[];
}

const unlimited: RetentionLimits = { ageMs: 1e9, logBytes: 1e9, commands: 1e9 };

function world(): World {
  const stack = new DisposableStack();
  const folder = stack.use(temporaryFolder("hl-retention"));
  const records = new CommandRecords(stack.use(new Database(join(folder.path, "daemon.db"))));
  const [removed, held, refusals, warnings]: [string[], Set<string>, Map<string, Error>, object[]] = [[], new Set(), new Map(), []]; // prettier-ignore
  let nowMs = 0;
  const all = new Map<string, Retention>();
  const retention = (limits: Partial<RetentionLimits>): Retention => {
    const key = JSON.stringify(limits);
    const known = all.get(key);
    if (known !== undefined) return known;
    const made = new Retention({
      records,
      limits: { ...unlimited, ...limits },
      wallMs: () => nowMs,
      logger: { ...silentLogger, warn: (facts: object) => warnings.push(facts) },
      isHeld: (id) => held.has(id),
      remove: async (runId) => {
        const refusal = refusals.get(runId);
        if (refusal !== undefined) throw refusal;
        removed.push(runId);
      },
    });
    all.set(key, made);
    return made;
  };
  return {
    records,
    removed,
    held,
    refusals,
    warnings,
    prune: (limits, now = 0, share = 1) => {
      nowMs = now;
      return retention(limits).prune(undefined, share);
    },
    isFarOver: (limits) => retention(limits).isFarOver,
    finish: async (count) => {
      const ids = Array.from({ length: count }, (_, at) => `c${at + 1}`);
      const facts = { paramsHash: "", command: "sh", args: [], bootId: "b", startedMs: 0 };
      await Promise.all(ids.map((id) => records.begin({ ...facts, commandId: id, runId: id })));
      await Promise.all(ids.map((id, at) => records.end(id, at + 1, {}, 10)));
    },
    left: () => records.oldest(1_000).map(({ commandId }) => commandId),
    [Symbol.dispose]: () => stack.dispose(),
  };
}

describe("retention", () => {
  test("P7: by age, by bytes and by number, exactly at each limit, the oldest first", async () => {
    using w = world();
    await w.finish(9);
    await w.prune({ ageMs: 100, logBytes: 90, commands: 9 }, 101);
    assert.deepEqual(w.removed, [], "nothing is over any limit");
    await w.prune({ ageMs: 100 }, 103);
    assert.deepEqual(w.removed, ["c1", "c2"]);
    await w.prune({ logBytes: 50 });
    assert.deepEqual(w.removed, ["c1", "c2", "c3", "c4"]);
    await w.prune({ commands: 3 });
    assert.deepEqual(w.left(), ["c7", "c8", "c9"]);
    assert.deepEqual(w.records.finished, { count: 3, logBytes: 30 });
    await w.prune({ commands: 0 });
    assert.deepEqual(w.left(), []);
  });

  test("a share is of each limit, exactly at it, the oldest first, and only of the round that asks for it", async () => {
    for (const [limits, nowMs, left] of [
      [{ commands: 8 }, 0, ["c7", "c8"]],
      [{ logBytes: 79 }, 0, ["c8"]],
      [{ logBytes: 80 }, 0, ["c7", "c8"]],
      // Ended at 1 to 8; older than a quarter of 12 is what ended before 6.
      [{ ageMs: 12 }, 9, ["c6", "c7", "c8"]],
    ] as const) {
      using w = world();
      await w.finish(8);
      await w.prune(limits, nowMs);
      assert.equal(w.left().length, limits.logBytes === 79 ? 7 : 8, "within the whole limit");
      await w.prune(limits, nowMs, 0.25);
      assert.deepEqual(w.left(), left, JSON.stringify(limits));
      await w.prune(limits, nowMs);
      assert.deepEqual(w.left(), left, "the next round takes no more");
    }
    using w = world();
    await w.finish(4);
    w.held.add("c1");
    await w.prune({ commands: 4 }, 0, 0);
    assert.deepEqual(w.left(), ["c1"], "P1: what is held stays at a share of nothing");
  });

  test("P1, P7: one that is held or runs stays, whatever the limit, and younger ones go in its place", async () => {
    using w = world();
    await w.finish(5);
    await w.records.begin({ commandId: "r", runId: "r", paramsHash: "", command: "sh", args: [], bootId: "b", startedMs: 0 }); // prettier-ignore
    w.held.add("c1").add("c3");
    await w.prune({ commands: 3 });
    assert.deepEqual(w.left(), ["c1", "c3", "c5"]);
    await w.prune({ ageMs: 0, commands: 0 }, 1_000);
    assert.deepEqual(w.left(), ["c1", "c3"]);
    assert.equal(w.records.unfinished().length, 1);
  });

  test("P7: a folder that cannot be removed keeps no other, is told once, and is tried again", async () => {
    using w = world();
    await w.finish(4);
    w.refusals.set("c1", new StartFailed("log", 13, "not permitted"));
    for (let round = 0; round < 3; round += 1) await w.prune({ commands: 2 });
    assert.deepEqual(w.left(), ["c1", "c4"]);
    assert.equal(w.warnings.length, 1);
    w.refusals.clear();
    await w.prune({ commands: 0 });
    assert.deepEqual(w.left(), []);
  });

  test("a runner that cannot be reached ends the round with its reason, and what was removed is forgotten", async () => {
    using w = world();
    await w.finish(4);
    w.refusals.set("c3", new Error("connect ECONNREFUSED"));
    await assert.rejects(w.prune({ commands: 0 }), /ECONNREFUSED/);
    assert.deepEqual(w.left(), ["c3"], "the others were under way");
  });

  test("P7: many pages in one round, and how far over a limit it is", async () => {
    using w = world();
    await w.finish(350);
    assert.deepEqual([w.isFarOver({ commands: 319 }), w.isFarOver({ commands: 318 })], [false, true]);
    assert.deepEqual([w.isFarOver({ logBytes: 3_182 }), w.isFarOver({ logBytes: 3_181 })], [false, true]);
    await w.prune({ commands: 10 });
    assert.equal(w.left().length, 10);
    assert.equal(w.removed.length, 340);
    assert.equal(w.isFarOver({ commands: 10 }), false);
  });
});

test("pruner: at its start, every interval, and at once when asked; a failure of one part keeps neither the other nor the next round", async () => {
  const clock = new ManualClock();
  let rounds = 0;
  const errors: unknown[] = [];
  let tidied = 0;
  await using pruner = new Pruner({
    retention: {
      prune: async () => {
        rounds += 1;
        if (rounds === 2) throw new Error("no runner");
        return false;
      },
    },
    clock,
    intervalMs: 60_000,
    tidy: async () => void (tidied += 1),
    onError: (error) => errors.push(error),
  });
  await pruner.start();
  await settled();
  assert.deepEqual([rounds, tidied], [1, 1]);
  await clock.advance(59_999);
  assert.equal(rounds, 1);
  await clock.advance(1);
  assert.deepEqual([rounds, tidied, errors.length], [2, 2, 1]);
  pruner.poke();
  pruner.poke();
  await settled();
  assert.deepEqual([rounds, tidied], [3, 3]);
  assert.equal(clock.timers, 1, "one sleep at a time");
  await clock.advance(60_000);
  assert.equal(rounds, 4);
});
