/**
 * Goal: a request that we ask always settles (A1), once, and nothing of it is kept afterwards (P7).
 * Method: a peer over a memory transport, a hand-moved clock, and the other end reading and writing the wire itself.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "@hl/testkit/manual-clock.ts";
import { ConnectionClosed, RequestTimeout } from "./peer.ts";
import { asking, joined } from "./testing/wire.ts";

test("an answer settles its request alone, also in a batch, and an error keeps code, message and data", async () => {
  const { peer, wire } = asking();
  const requests = ["a", "b", "c"].map((id) => peer.request("m", { id }, { id }));
  const settled = Promise.allSettled(requests);
  for (const id of ["a", "b", "c"]) {
    const message = await wire.next();
    assert.deepEqual([message.id, message.method, message.params], [id, "m", { id }]);
    assert.equal(typeof message.timestamp, "number");
  }
  wire.send([
    { jsonrpc: "2.0", id: "b", result: null },
    { jsonrpc: "2.0", id: "unknown", result: 1 },
    { jsonrpc: "2.0", id: "a", error: { code: 1101, message: "blocked", data: { fact: 1 } } },
  ]);
  wire.send({ jsonrpc: "2.0", id: "c", error: null });
  const [a, b, c] = await settled;
  assert.ok(a?.status === "rejected" && b?.status === "fulfilled" && c?.status === "rejected");
  const { code, message, data } = a.reason as { code: number; message: string; data: unknown };
  assert.deepEqual([code, message, data], [1101, "blocked", { fact: 1 }]);
  assert.equal(b.value, null);
  assert.equal((c.reason as { code: number }).code, -32603);
  assert.equal(peer.asking, 0);
  assert.equal(wire.unread, 0, "a response is never answered");
});

test("A1: an answer with neither result nor error ends the wait", async () => {
  const { peer, wire } = asking();
  const asked = peer.request("m", {}, { id: "a" });
  wire.send({ jsonrpc: "2.0", id: "a" });
  await assert.rejects(asked, { code: -32603 });
});

test("A1: a time limit rejects, tells the other side, frees its timer, and a late answer is ignored", async () => {
  const clock = new ManualClock();
  const { peer, wire } = asking({ clock });
  const late = peer.request("slow", {}, { id: "late", timeoutMs: 1_000 });
  const inTime = peer.request("fast", {}, { id: "in time", timeoutMs: 1_000 });
  assert.equal(clock.timers, 2);
  wire.send({ jsonrpc: "2.0", id: "in time", result: 1 });
  assert.equal(await inTime, 1);
  assert.equal(clock.timers, 1);
  const rejected = assert.rejects(
    late,
    (error) => error instanceof RequestTimeout && /slow.*1000 ms/.test(error.message),
  );
  await clock.advance(999);
  assert.equal(peer.asking, 1);
  await clock.advance(1);
  await rejected;
  await wire.next();
  await wire.next();
  const cancelled = await wire.next();
  assert.deepEqual([cancelled.method, cancelled.params], ["$/cancelRequest", { id: "late" }]);
  assert.equal(cancelled.timestamp, 1);
  wire.send({ jsonrpc: "2.0", id: "late", result: "too late" });
  await clock.advance(0);
  const next = peer.request("m", {}, { id: "late" });
  wire.send({ jsonrpc: "2.0", id: "late", result: "second" });
  assert.equal(await next, "second");
  assert.deepEqual([peer.asking, clock.timers], [0, 0]);
});

test("an abort before the request sends nothing, one during it rejects with its reason and tells the other side", async () => {
  const { peer, wire } = asking();
  const reason = new Error("not any more");
  await assert.rejects(peer.request("m", {}, { signal: AbortSignal.abort(reason) }), reason);
  const abort = new AbortController();
  const asked = peer.request("m", {}, { id: "a", signal: abort.signal });
  abort.abort(reason);
  await assert.rejects(asked, reason);
  assert.equal((await wire.next()).method, "m");
  assert.equal((await wire.next()).method, "$/cancelRequest");
  const odd = new AbortController();
  const second = peer.request("m", {}, { signal: odd.signal });
  odd.abort("a text");
  await assert.rejects(second, Error);
  assert.equal(peer.asking, 0);
});

test("an abort after the answer is silent", async () => {
  const { peer, wire } = asking();
  const abort = new AbortController();
  const asked = peer.request("m", {}, { id: "a", signal: abort.signal });
  wire.send({ jsonrpc: "2.0", id: "a", result: 1 });
  await asked;
  await wire.next();
  abort.abort();
  await peer.notify("last", {});
  assert.equal((await wire.next()).method, "last");
});

test("A1: closing rejects everything that waits, on both sides, and everything asked later", async () => {
  for (const closing of ["asker", "server"] as const) {
    const seen: AbortSignal[] = [];
    const pair = joined((_message, { signal }) => {
      seen.push(signal);
      return new Promise(() => {});
    });
    const requests = [1, 2, 3].map(() => pair.asker.request("m", {}));
    const settled = Promise.allSettled(requests);
    await new Promise(setImmediate);
    pair[closing].close("enough");
    for (const outcome of await settled) {
      assert.ok(outcome.status === "rejected" && outcome.reason instanceof ConnectionClosed);
      assert.equal(outcome.reason.message, "enough");
    }
    assert.equal(await pair.asker.closed, "enough");
    assert.equal(await pair.server.closed, "enough");
    assert.deepEqual(
      seen.map(({ aborted }) => aborted),
      [true, true, true],
    );
    await assert.rejects(pair.asker.request("m", {}), ConnectionClosed);
    await assert.rejects(pair.asker.notify("m", {}));
  }
});

test("an id in use is refused, and parameters that are no JSON reject and leave nothing behind", async () => {
  const clock = new ManualClock();
  const { peer, wire } = asking({ clock });
  const first = peer.request("m", {}, { id: "a" });
  await assert.rejects(peer.request("m", {}, { id: "a" }), /the request id a is in use/);
  await assert.rejects(peer.request("m", { big: 1n }, { timeoutMs: 5 }), TypeError);
  assert.deepEqual([peer.asking, clock.timers], [1, 0]);
  wire.send({ jsonrpc: "2.0", id: "a", result: 1 });
  assert.equal(await first, 1);
});

test("notifications without a request of ours go to the listener", async () => {
  const { peer, wire } = asking();
  const heard = Promise.withResolvers<unknown>();
  peer.onNotification(({ method, params, requestId }) => heard.resolve([method, params, requestId]));
  wire.send({ jsonrpc: "2.0", method: "n", params: [1], request_id: "unknown" });
  assert.deepEqual(await heard.promise, ["n", [1], "unknown"]);
});

test("a listener that throws closes the connection with the reason instead of being swallowed", async () => {
  const { peer, wire } = asking();
  peer.onNotification(() => {
    throw new Error("a bug");
  });
  wire.send({ jsonrpc: "2.0", method: "n" });
  assert.match(await peer.closed, /a bug/);
});
