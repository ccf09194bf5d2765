/**
 * Goal: a fault that has to be alone is, and comes although others never leave a gap between them. Method: turns that end when told.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { FaultTurns } from "./fault-turns.ts";

test("others overlap; one that is to be alone waits for those under way, and those behind it wait for it", async () => {
  const turns = new FaultTurns();
  const underWay = new Set<string>();
  const ends = new Map<string, () => void>();
  const begin = (name: string, alone = false): Promise<void> =>
    turns.take(alone, async () => {
      underWay.add(name);
      await new Promise<void>((resolve) => ends.set(name, resolve));
      underWay.delete(name);
    });
  const end = async (name: string): Promise<void> => {
    ends.get(name)?.();
    await setImmediate();
  };
  const all = [begin("a"), begin("b"), begin("alone", true), begin("c")];
  await setImmediate();
  assert.deepEqual([...underWay], ["a", "b"]);
  await end("a");
  assert.deepEqual([...underWay], ["b"]);
  await end("b");
  assert.deepEqual([...underWay], ["alone"]);
  all.push(begin("other", true), begin("d"));
  await end("alone");
  assert.deepEqual([...underWay], ["other"]);
  await end("other");
  assert.deepEqual([...underWay], ["c", "d"]);
  await end("c");
  await end("d");
  await Promise.all(all);
});
