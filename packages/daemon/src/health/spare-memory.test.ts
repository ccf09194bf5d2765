/**
 * Goal: memory that nothing lives in is given back when the daemon is quiet, and only then.
 * Method: rounds with a heap and a processor time of the test's own; one process of Node with the real ones.
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { describe, test } from "node:test";
import { grownBytesMin, heldBytesMax, quietCpuPercentMax, SpareMemory } from "./spare-memory.ts";

const roundMs = 30_000;
const quietMs = (roundMs * quietCpuPercentMax) / 100;

class World {
  nowMs = 0;
  cpuMs = 0;
  readonly usedBytes = 16 * 2 ** 20;
  heldBytes = 40 * 2 ** 20;
  givenBack = 0;
  readonly spare = new SpareMemory({
    clock: { now: () => this.nowMs },
    heldBytes: () => this.heldBytes,
    cpuMs: () => this.cpuMs,
    giveBack: () => {
      this.givenBack += 1;
      this.heldBytes = this.usedBytes;
      this.cpuMs += 500;
    },
  });

  /** One for each time of the processor; answers how often memory has been given back so far. */
  rounds(...cpuMs: readonly number[]): number {
    for (const ms of cpuMs) {
      this.nowMs += roundMs;
      this.cpuMs += ms;
      this.spare.round();
    }
    return this.givenBack;
  }
}

describe("spare memory", () => {
  test("it is given back in the second quiet round in a row, and again when there is more", () => {
    const world = new World();
    assert.equal(world.rounds(5_000), 0, "the first round has none to compare with");
    assert.equal(world.rounds(quietMs), 0);
    assert.equal(world.rounds(quietMs + 1), 0, "a busy one between");
    assert.equal(world.rounds(quietMs), 0);
    assert.equal(world.rounds(quietMs), 1);
    assert.equal(world.rounds(0, 0, 0), 1, "nothing is there to be given back");
    world.heldBytes = world.usedBytes + grownBytesMin;
    assert.equal(world.rounds(0), 2, "what the collection took of the processor is not the daemon's work");
  });

  test("too little is not worth a pause, and too large a heap would pause for too long", () => {
    const world = new World();
    assert.equal(world.rounds(0, 0, 0), 1);
    world.heldBytes = world.usedBytes + grownBytesMin - 1;
    assert.equal(world.rounds(0, 0), 1);
    world.heldBytes = heldBytesMax + 1;
    assert.equal(world.rounds(0, 0), 1);
    world.heldBytes = heldBytesMax;
    assert.equal(world.rounds(0), 2);
  });

  test("a Node that cannot give back is left alone; one that can holds less after it", () => {
    assert.equal(globalThis.gc, undefined, "this test runs without --expose-gc");
    new SpareMemory({ clock: { now: () => 0 } }).round();
    const module = new URL("spare-memory.ts", import.meta.url).href;
    const program = `
      const { SpareMemory } = await import(${JSON.stringify(module)});
      const { getHeapStatistics } = await import("node:v8");
      let nowMs = 0;
      const spare = new SpareMemory({ clock: { now: () => nowMs }, cpuMs: () => 0 });
      let lists = [];
      for (let n = 0; n < 10; n += 1) lists.push(Array.from({ length: 100_000 }, (_, i) => ({ i })));
      lists = undefined;
      const before = getHeapStatistics().total_physical_size;
      for (let n = 0; n < 3; n += 1) { nowMs += 1_000; spare.round(); }
      console.log(JSON.stringify([before, getHeapStatistics().total_physical_size]));`;
    const args = ["--expose-gc", "--disable-warning=ExperimentalWarning", "--input-type=module", "-e", program];
    const [before = 0, after = 0] = JSON.parse(execFileSync(process.execPath, args, { encoding: "utf8" })) as number[];
    assert.ok(after < before / 2, `${before} bytes held, then ${after}`);
  });
});
