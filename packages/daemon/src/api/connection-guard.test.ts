/**
 * Goal: `login_timeout_seconds` and `idle_timeout_seconds` hold, a stranger has credit for a few messages, and a caller that does not heed its rate is
 * left unread for a while. Method: a guard over a peer whose transport is in memory; a clock moved by hand.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { memoryTransports } from "@hl/core/rpc/memory.ts";
import { Peer } from "@hl/core/rpc/peer.ts";
import type { Transport } from "@hl/core/rpc/transport.ts";
import type { Caller } from "@hl/protocol/method.ts";
import { ManualClock, settled } from "@hl/testkit/manual-clock.ts";
import { ConnectionGuard, strangerRefusalsMax, type EndReason } from "./connection-guard.ts";
import type { ConnectionNumbers } from "./connection-numbers.ts";

const caller: Caller = { role: "admin", subject: "local-token", via: "socket" };

class World {
  readonly clock = new ManualClock();
  readonly numbers: ConnectionNumbers = { inFlightMax: 10, loginTimeoutMs: 1_000, idleTimeoutMs: 10_000 };
  readonly ends: EndReason[] = [];
  readonly slot: string[] = [];
  readonly flow: string[] = [];
  readonly guard: ConnectionGuard;
  readonly peer: Peer;
  readonly caller: Peer;
  readonly gate = Promise.withResolvers<undefined>();

  constructor() {
    const [left, right] = memoryTransports();
    const transport: Transport = {
      open: (receiver) => left.open(receiver),
      send: (message) => left.send(message),
      close: (reason) => left.close(reason),
      pause: () => void this.flow.push("paused"),
      resume: () => void this.flow.push("resumed"),
    };
    const handler = {
      request: () => this.gate.promise,
      describe: () => ({ code: 1, message: "" }),
    };
    this.peer = new Peer({ transport, clock: this.clock, handler }).open();
    this.caller = new Peer({ transport: right, clock: this.clock }).open();
    this.guard = new ConnectionGuard({
      peer: this.peer,
      slot: {
        protect: () => void this.slot.push("protected"),
        expose: () => void this.slot.push("exposed"),
        release: () => {},
      },
      clock: this.clock,
      numbers: this.numbers,
      end: (why) => {
        this.ends.push(why);
        this.peer.close(why);
      },
    });
    this.guard.begin();
  }
}

describe("the watch over a connection", () => {
  test("login_timeout_seconds: a stranger is closed then, not before; one that logs in is not, and its place is its own", async () => {
    const late = new World();
    await late.clock.advance(999);
    assert.deepEqual(late.ends, []);
    await late.clock.advance(1);
    assert.deepEqual(late.ends, ["no_login_in_time"]);
    const known = new World();
    known.guard.loggedIn(caller);
    known.guard.loggedIn(caller);
    await known.clock.advance(5_000);
    assert.deepEqual([known.ends, known.slot], [[], ["protected"]]);
  });

  test("a stranger's credit: the last refused message but one leaves it open, the last ends it once", () => {
    const world = new World();
    world.guard.refused(strangerRefusalsMax - 1);
    assert.deepEqual(world.ends, []);
    world.guard.refused(1);
    world.guard.refused(1_000);
    assert.deepEqual(world.ends, ["no_login_but_messages"]);
    assert.equal(world.clock.timers, 0);
  });

  test("mistakes before a login do not count behind it", () => {
    const world = new World();
    world.guard.refused(strangerRefusalsMax - 1);
    world.guard.loggedIn(caller);
    world.guard.refused(10);
    assert.deepEqual([world.ends, world.flow], [[], []]);
  });

  test("idle_timeout_seconds: a silent connection is closed then; each request begins the time anew", async () => {
    const world = new World();
    world.guard.loggedIn(caller);
    await world.clock.advance(9_000);
    world.guard.admitted();
    await world.clock.advance(9_999);
    assert.deepEqual(world.ends, []);
    await world.clock.advance(1);
    assert.deepEqual(world.ends, ["idle"]);
    assert.equal(world.clock.timers, 0);
  });

  test("idle_timeout_seconds: what is in progress or followed is not idle, however long it is silent", async () => {
    const world = new World();
    world.guard.loggedIn(caller);
    world.guard.admitted();
    const asked = world.caller.request("m", {});
    await world.clock.advance(100_000);
    assert.deepEqual(world.ends, []);
    world.gate.resolve(undefined);
    await asked;
    await world.clock.advance(20_000);
    assert.deepEqual(world.ends, ["idle"]);
  });

  test("a time limit that is changed holds when its timer is set the next time", async () => {
    const world = new World();
    world.guard.loggedIn(caller);
    world.numbers.idleTimeoutMs = 30_000;
    await world.clock.advance(29_999);
    assert.deepEqual(world.ends, []);
    await world.clock.advance(1);
    assert.deepEqual(world.ends, ["idle"]);
  });

  test("a known caller that is refused a hundred times in a row is not read for a second, and then again", async () => {
    const world = new World();
    world.guard.loggedIn(caller);
    world.guard.refused(99);
    world.guard.admitted();
    world.guard.refused(99);
    assert.deepEqual(world.flow, []);
    world.guard.refused(1);
    world.guard.refused(500);
    assert.deepEqual(world.flow, ["paused"]);
    await world.clock.advance(1_000);
    assert.deepEqual(world.flow, ["paused", "resumed"]);
    world.guard.refused(100);
    world.peer.close("gone");
    await settled();
    await world.clock.advance(1_000);
    assert.deepEqual([world.flow, world.ends], [["paused", "resumed", "paused"], []]);
  });
});
