/**
 * Goal: what stops something passes what waits, and what a daemon refuses because it stops or is busy is kept and asked again (C1, C2).
 * Method: the outbox alone, time moved by hand; each connection is a pair of real peers in memory.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { RpcError } from "@hl/core/rpc/error.ts";
import { memoryTransports } from "@hl/core/rpc/memory.ts";
import { Peer } from "@hl/core/rpc/peer.ts";
import { ManualClock, settled } from "@hl/testkit/manual-clock.ts";
import { Outbox, type OutboundRequest } from "./outbox.ts";
import type { VmConnection } from "./vm-connection.ts";

class World {
  readonly clock = new ManualClock();
  readonly outbox: Outbox;
  readonly settled = new Map<string, unknown>();
  #vm: Peer | undefined;

  constructor(inFlightMax: number) {
    this.outbox = new Outbox(inFlightMax, this.clock);
  }

  /** A daemon that answers by the script; what it was asked is listed. */
  async connect(script: (id: string) => Promise<unknown>): Promise<string[]> {
    const asked: string[] = [];
    const [ours, theirs] = memoryTransports();
    this.#vm = new Peer({
      transport: theirs,
      clock: this.clock,
      handler: {
        request: (message) => {
          asked.push(String(message.id));
          return script(String(message.id));
        },
        describe: (error) => error as RpcError,
      },
    }).open();
    const peer = new Peer({ transport: ours, clock: this.clock }).open();
    const connection: VmConnection = {
      instanceId: "vm",
      sessionId: "s",
      bootId: "b",
      runId: "r",
      connectedAtMs: 0,
      peer,
    };
    void peer.closed.then(() => this.outbox.disconnected(connection));
    this.outbox.connected(connection);
    await settled();
    return asked;
  }

  async leave(): Promise<void> {
    this.#vm?.close("gone");
    await settled();
  }

  submit(id: string, method = "command/execute", params: object = { command_id: id }, recorded = true): void {
    const request: OutboundRequest = {
      id,
      method,
      params,
      recorded,
      onSent: () => {},
      onWaiting: () => {},
      settle: (answer) => void this.settled.set(id, answer),
      fail: (error) => void this.settled.set(id, error),
    };
    this.outbox.submit(request);
  }
}

const never = (): Promise<never> => new Promise(() => {});

test("a cancel passes the queue, and is sent although the daemon has as much as it may; never before what it cancels", async () => {
  const w = new World(1);
  const asked = await w.connect(never);
  for (const id of ["a", "b", "c"]) w.submit(id);
  w.submit("cancel-a", "command/cancel", { command_id: "a" });
  w.submit("stop-agent", "claude/stop", { process_id: "p" });
  await settled();
  assert.deepEqual(asked, ["a", "cancel-a", "stop-agent"]);

  const x = new World(2);
  for (const id of ["a", "b", "c"]) x.submit(id);
  x.submit("cancel-b", "command/cancel", { command_id: "b" });
  x.submit("cancel-z", "command/cancel", { command_id: "z" });
  const order = await x.connect(async () => ({}));
  assert.deepEqual(order, ["cancel-z", "a", "b", "cancel-b", "c"]);
});

test("C1, C2: what a stopping daemon refuses in the middle of the queue goes to the next one, once and in order", async () => {
  const w = new World(2);
  for (const id of ["a", "b", "c", "d"]) w.submit(id);
  const first = await w.connect(async (id) => {
    if (id === "a") return "done";
    throw new RpcError(1005, "the daemon is stopping");
  });
  await settled();
  assert.deepEqual(first, ["a", "b", "c", "d"]);
  assert.deepEqual([...w.settled.keys()], ["a"]);
  assert.equal(w.outbox.size, 3);
  await w.leave();
  assert.equal(w.outbox.stateOf("b"), "waiting");
  const second = await w.connect(async () => "done");
  await settled();
  assert.deepEqual(second, ["b", "c", "d"]);
  assert.equal(w.settled.size, 4);
});

test("C2: a daemon that is busy is asked again when it said; what is not recorded is told so at once", async () => {
  const w = new World(8);
  let busy = true;
  const asked = await w.connect(async () => {
    if (busy) throw new RpcError(1003, "too much", { retry_after_ms: 500 });
    return "done";
  });
  w.submit("kept");
  w.submit("read", "command/list", {}, false);
  await settled();
  assert.deepEqual(asked, ["kept", "read"]);
  assert.ok("error" in (w.settled.get("read") as object));
  assert.equal(w.outbox.stateOf("kept"), "waiting");
  busy = false;
  await w.clock.advance(499);
  assert.equal(asked.length, 2);
  await w.clock.advance(1);
  await settled();
  assert.deepEqual(asked, ["kept", "read", "kept"]);
  assert.deepEqual(w.settled.get("kept"), { result: "done" });
  assert.equal(w.clock.timers, 0);
});
