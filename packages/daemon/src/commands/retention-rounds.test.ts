/**
 * Goal: what is kept of finished commands goes in bounded rounds, several at once (P7). Method: records as a list and a
 * runner whose removals the test ends by hand.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { silentLogger } from "@hl/core/logger.ts";
import type { CommandRecord } from "../store/command-records.ts";
import { StartFailed } from "../runner/records.ts";
import { Retention, type RetentionOptions } from "./retention.ts";

const never = new AbortController().signal;

class Fixture {
  readonly kept: CommandRecord[] = [];
  remove: RetentionOptions["remove"] = () => Promise.resolve();

  /** `c0` to `cN`, one ended each millisecond, with 10 bytes each. */
  constructor(count: number) {
    for (let number = 0; number < count; number += 1) {
      const commandId = `c${String(number).padStart(4, "0")}`;
      const facts = { paramsHash: "", command: "true", args: [], bootId: "", ending: {} };
      this.kept.push({ ...facts, commandId, runId: commandId, startedMs: 0, endedMs: number, logBytes: 10 });
    }
  }

  retention(): Retention {
    const { kept } = this;
    const finished = (): { count: number; logBytes: number } => ({ count: kept.length, logBytes: kept.length * 10 });
    return new Retention({
      records: {
        get finished() {
          return finished();
        },
        oldest: (limit, after) => kept.filter((one) => one.commandId > (after?.commandId ?? "")).slice(0, limit),
        forget: (ids) => {
          for (const id of ids)
            kept.splice(
              kept.findIndex((one) => one.commandId === id),
              1,
            );
          return Promise.resolve();
        },
      },
      limits: { ageMs: 1e9, logBytes: 1e9, commands: 0 },
      wallMs: () => 1_000,
      logger: silentLogger,
      isHeld: () => false,
      remove: (id, signal) => this.remove(id, signal),
    });
  }

  get ids(): string[] {
    return this.kept.map((one) => one.commandId);
  }
}

test("P7: several are removed at once; an abort or a lost runner ends it, and what was removed is forgotten", async () => {
  const fixture = new Fixture(300);
  const stop = new AbortController();
  const under: (() => void)[] = [];
  fixture.remove = () => new Promise((resolve) => under.push(resolve));
  const pruned = fixture.retention().prune(stop.signal);
  assert.equal(under.length, 4);
  stop.abort();
  for (const resolve of under) resolve();
  await pruned;
  assert.deepEqual([under.length, fixture.kept.length], [4, 296]);

  const hanging = new AbortController();
  fixture.remove = (_, signal) =>
    new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject(signal.reason as Error)));
  const waiting = fixture.retention().prune(hanging.signal);
  hanging.abort(); // A removal that waits for what cannot be killed does not keep the daemon from stopping.
  await waiting;
  assert.equal(fixture.kept.length, 296);

  fixture.remove = (id) => (id === "c0010" ? Promise.reject(new Error("no runner")) : Promise.resolve());
  await assert.rejects(fixture.retention().prune(never), /no runner/);
  assert.ok(!fixture.ids.includes("c0009") && fixture.ids.includes("c0010"));
});

test("P7: a round is bounded and says whether more is due; the next one goes on behind those that stay", async () => {
  const fixture = new Fixture(1_050);
  fixture.remove = (id) => (id < "c1020" ? Promise.reject(new StartFailed("alive", 0, "lives")) : Promise.resolve());
  const retention = fixture.retention();
  assert.deepEqual([await retention.prune(never), fixture.kept.length], [true, 1_050]);
  assert.deepEqual([await retention.prune(never), fixture.kept.length], [false, 1_020]);
  fixture.remove = () => Promise.resolve();
  assert.deepEqual([await retention.prune(never), fixture.kept.length], [true, 20]);
  assert.deepEqual([await retention.prune(never), fixture.kept.length], [false, 0]);
});
