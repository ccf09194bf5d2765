/**
 * Goal: P5: readers share the event loop fairly and leave it to others in between. Method: readers that never tire, on real turns of the loop.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ReadTurns } from "./read-turns.ts";

const loopTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test("P5: floods take turns in order, no more than the bound in one turn of the loop, and a newcomer waits for one round", async () => {
  const turns = new ReadTurns(100);
  const order: string[] = [];
  let stopped = false;
  const flood = async (name: string): Promise<void> => {
    while (!stopped) {
      await turns.next();
      order.push(name);
      turns.took(50);
    }
  };
  const floods = ["a", "b", "c", "d", "e"].map(flood);
  try {
    for (let turn = 0; turn < 50; turn += 1) await loopTurn();
    assert.ok(50 * order.length <= 51 * 100, `${50 * order.length} bytes in 50 turns of the loop and the begun one`);
    const counts = ["a", "b", "c", "d", "e"].map((name) => order.filter((one) => one === name).length);
    assert.ok(Math.max(...counts) - Math.min(...counts) <= 1, counts.join());
    assert.ok(order.length >= 80, `only ${order.length} turns were used`);
    const before = order.length;
    await turns.next();
    turns.took(50);
    assert.ok(order.length - before <= 6, `${order.length - before} turns of others before the newcomer's`);
  } finally {
    stopped = true;
  }
  await Promise.all(floods);
});

test("P5: who got a turn and read nothing stops nobody", async () => {
  const turns = new ReadTurns(100);
  turns.took(100);
  await Promise.all(Array.from({ length: 20 }, () => turns.next()));
});
