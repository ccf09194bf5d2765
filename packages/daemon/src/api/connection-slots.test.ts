/**
 * Goal: connections are bounded, each interface stays reachable whatever floods the other, and whoever holds connections without a token keeps
 * nobody out. Method: the slots alone, with connections that only note that they were closed; turns of the event loop are real.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ConnectionSlots, type Interface, type Slot } from "./connection-slots.ts";

const turns = async (count = 2): Promise<void> => {
  for (let turn = 0; turn < count; turn += 1) await new Promise((resolve) => setImmediate(resolve));
};

class World {
  readonly slots: ConnectionSlots;
  readonly closed: string[] = [];

  constructor(connectionsMax: number) {
    this.slots = new ConnectionSlots(connectionsMax);
  }

  take(of: Interface, name: string): Slot | undefined {
    return this.slots.take(of, () => void this.closed.push(name));
  }

  /** As many as there is room for, each protected where it is to be. */
  fill(of: Interface, isProtected: boolean): Slot[] {
    const taken: Slot[] = [];
    for (let index = 0; index < 1_000; index += 1) {
      const slot = this.take(of, `${of} ${index}`);
      if (slot === undefined) return taken;
      if (isProtected) slot.protect(undefined);
      taken.push(slot);
    }
    return taken;
  }
}

describe("connection slots", () => {
  test("each interface has at most three quarters, both together the limit, and a quarter is kept for each", async () => {
    for (const [one, other] of [
      ["socket", "http"],
      ["http", "socket"],
    ] as const) {
      const world = new World(8);
      assert.equal(world.fill(one, true).length, 6);
      assert.equal(world.fill(other, true).length, 2);
      await turns();
      assert.equal(world.take(one, "late"), undefined);
      assert.equal(world.take(other, "late"), undefined);
      assert.equal(world.slots.size, 8);
    }
    assert.equal(new World(1).fill("socket", true).length, 1);
    assert.equal(new World(3).fill("http", true).length, 3, "a quarter of three is none");
  });

  test("without room a newcomer takes the place of the longest exposed connection, never of a protected one", async () => {
    const world = new World(4);
    const [first, , third] = world.fill("socket", false);
    await turns();
    first?.protect(undefined);
    assert.ok(world.take("socket", "newcomer"));
    assert.deepEqual(world.closed, ["socket 1"]);
    third?.release();
    assert.ok(world.take("socket", "another"));
    assert.deepEqual(world.closed, ["socket 1"], "where there is room nobody is closed");
    first?.expose();
    await turns();
    for (const name of ["a", "b", "c"]) assert.ok(world.take("socket", name));
    assert.deepEqual(world.closed, ["socket 1", "newcomer", "another", "socket 0"], "who is exposed again is the last");
  });

  test("a storm of newcomers does not push out those whose first bytes nobody has read yet", async () => {
    const world = new World(4);
    const early = world.fill("socket", false);
    assert.equal(early.length, 3);
    for (let index = 0; index < 1_000; index += 1) assert.equal(world.take("socket", "storm"), undefined);
    await turns(1);
    assert.equal(world.take("socket", "storm"), undefined);
    early[0]?.protect(undefined); // It has logged in meanwhile.
    await turns(1);
    assert.ok(world.take("socket", "storm"));
    assert.deepEqual(world.closed, ["socket 1"]);
  });

  test("where one interface uses what the other has left, the other takes its part back from exposed connections", async () => {
    const world = new World(8);
    world.fill("http", false);
    const own = world.fill("socket", true);
    assert.equal(own.length, 2);
    await turns();
    assert.ok(world.take("socket", "third"), "HTTP has more than its quarter");
    assert.deepEqual(world.closed, ["http 0"]);
    assert.equal(world.slots.size, 8);
  });

  test("one caller protects half of all places at most, over both interfaces; what it gives back it may protect again", async () => {
    const world = new World(8);
    const own = [...world.fill("socket", false)];
    for (const slot of own) slot.protect("jwt anna");
    await turns();
    assert.ok(world.take("socket", "newcomer"));
    assert.deepEqual(world.closed, ["socket 4"]);
    own[0]?.expose();
    own[5]?.protect("jwt anna");
    own[1]?.release();
    own[0]?.protect("jwt anna");
    const other = world.take("http", "http");
    other?.protect("jwt ben");
    other?.protect("jwt ben");
    await turns();
    for (const name of ["a", "b", "c"]) world.take("socket", name);
    await turns();
    for (const name of ["d", "e", "f"]) world.take("socket", name);
    assert.deepEqual(world.closed.includes("socket 0") || world.closed.includes("socket 5"), false);
    assert.equal(world.closed.includes("http"), false);
  });

  test("another limit holds for newcomers, and a slot is released once", () => {
    const world = new World(4);
    const [first] = world.fill("socket", true);
    world.slots.change(5);
    assert.ok(world.take("socket", "more"));
    first?.release();
    first?.release();
    first?.expose();
    assert.equal(world.slots.size, 3);
    world.slots.change(1);
    assert.equal(world.take("http", "one too many"), undefined);
    assert.equal(world.slots.size, 3, "what is open stays open");
  });
});
