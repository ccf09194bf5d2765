/**
 * Goal: a stream begins behind its answer, ends when either side wants it to, and leaves nothing behind on either (P7).
 * Method: producers that wait for gates or for their signal, over memory transports.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { asking, joined, served, type Script } from "./testing/wire.ts";

const open = (id: unknown, more: object = {}): object => ({ jsonrpc: "2.0", id, method: "open", ...more });

/** Notifies `tick` and then waits for its end; tells how it ended. */
function ticking(): { script: Script; ended: Promise<string>; signals: AbortSignal[] } {
  const end = Promise.withResolvers<string>();
  const signals: AbortSignal[] = [];
  const script: Script = (_message, call) => {
    call.stream(async (signal) => {
      signals.push(signal);
      await call.notify("tick", { at: 1 });
      await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
      end.resolve((signal.reason as Error).message);
    });
    return Promise.resolve("opened");
  };
  return { script, ended: end.promise, signals };
}

test("what a stream notifies follows the answer, in a batch the whole batch, and names its request", async () => {
  const { wire } = served((_message, call) => {
    call.stream(() => call.notify("tick", {}));
    return Promise.resolve("opened");
  });
  for (const id of [1, "a"]) {
    wire.send(open(id));
    assert.equal((await wire.next()).result, "opened");
    const tick = await wire.next();
    assert.deepEqual([tick.method, tick.request_id], ["tick", id]);
    assert.equal(typeof tick.timestamp, "number");
  }
  wire.send([open(1), open(2)]);
  assert.equal((await wire.nextBatch()).length, 2);
  assert.deepEqual([(await wire.next()).request_id, (await wire.next()).request_id], [1, 2]);
});

test("a caller ends its stream by cancelling the request, after the answer as well", async () => {
  const { script, ended } = ticking();
  const { wire } = served(script);
  wire.send(open(7, { stream_end: true }));
  assert.equal((await wire.next()).result, "opened");
  assert.equal((await wire.next()).method, "tick");
  wire.send({ jsonrpc: "2.0", method: "$/cancelRequest", params: { id: 7 } });
  assert.equal(await ended, "cancelled by the caller");
  assert.equal(wire.unread, 0, "who cancelled needs not be told of the end");
});

test("a stream ends with the connection, whichever side closes", async () => {
  for (const closing of ["asker", "server"] as const) {
    const { script, ended } = ticking();
    const pair = joined(script);
    const ticked = Promise.withResolvers<unknown>();
    await pair.asker.request("open", {}, { onNotification: (_method, params) => ticked.resolve(params) });
    assert.deepEqual(await ticked.promise, { at: 1 });
    assert.equal(pair.asker.asking, 1);
    pair[closing].close("enough");
    assert.equal(await ended, "enough");
    await pair.asker.closed;
    assert.equal(pair.asker.asking, 0);
  }
});

test("an asker ends its stream by its signal, and a closed connection lets go of the signal", async () => {
  const { script, ended } = ticking();
  const { asker } = joined(script);
  const abort = new AbortController();
  await asker.request("open", {}, { signal: abort.signal, onNotification: () => {} });
  abort.abort(new Error("enough"));
  assert.equal(await ended, "cancelled by the caller");
  assert.equal(asker.asking, 0);
});

test("P7: the asker forgets a stream when its producer ends, by itself or by failing, and a request that opens none", async () => {
  const { asker } = joined((message, call) => {
    if (message.method === "silent") return Promise.resolve("done");
    for (const count of [1, 2]) {
      call.stream(async () => {
        await call.notify("tick", { count });
        if (message.method === "failing") throw new Error("broken");
      });
    }
    return Promise.resolve("opened");
  });
  for (const method of ["open", "failing", "silent"]) {
    const ticks: unknown[] = [];
    await asker.request(method, {}, { onNotification: (_method, params) => ticks.push(params) });
    await new Promise(setImmediate);
    assert.equal(asker.asking, 0, method);
    assert.equal(ticks.length, method === "silent" ? 0 : 2);
  }
});

test("the end is told only to those who asked for it", async () => {
  const { wire } = served((_message, call) => {
    call.stream(() => call.notify("tick", {}));
    return Promise.resolve("opened");
  });
  wire.send(open(1));
  wire.send(open(2, { stream_end: true }));
  const methods: unknown[] = [];
  for (let count = 0; count < 5; count += 1) {
    const { method, result, id, request_id } = await wire.next();
    methods.push(`${id ?? request_id ?? ""} ${method ?? String(result)}`);
  }
  assert.deepEqual(methods.sort(), ["1 opened", "1 tick", "2 $/streamEnd", "2 opened", "2 tick"]);
});

test("an error answer begins no stream, and a stream after the answer is a mistake that is told", async () => {
  let began = false;
  const later = Promise.withResolvers<unknown>();
  const { wire } = served((message, call) => {
    const stream = (): void =>
      call.stream(async () => {
        began = true;
      });
    if (message.method === "late") {
      void later.promise.then(stream).catch(late.resolve);
      return Promise.resolve("answered");
    }
    stream();
    throw new Error("refused");
  });
  const late = Promise.withResolvers<unknown>();
  wire.send(open(1));
  assert.equal((await wire.next()).error?.message, "refused");
  wire.send({ jsonrpc: "2.0", id: 2, method: "late" });
  assert.equal((await wire.next()).result, "answered");
  later.resolve(undefined);
  assert.match(String(await late.promise), /before its request is answered/);
  assert.equal(began, false);
});

test("P7: streamsMax streams may be open; one more is refused, and the end of one makes room", async () => {
  const { script, signals } = ticking();
  const { wire } = served(script, { streamsMax: 2 });
  for (const id of [1, 2, 3]) wire.send(open(id));
  const seen: unknown[] = [];
  for (let count = 0; count < 5; count += 1) {
    const { id, result, error, method } = await wire.next();
    seen.push(method ?? [id, result ?? error?.message]);
  }
  assert.deepEqual(seen.filter(Array.isArray).sort(), [
    [1, "opened"],
    [2, "opened"],
    [3, "more than 2 streams"],
  ]);
  wire.send({ jsonrpc: "2.0", method: "$/cancelRequest", params: { id: 1 } });
  await new Promise(setImmediate);
  assert.deepEqual(
    signals.map(({ aborted }) => aborted),
    [true, false],
  );
  wire.send(open(4));
  assert.equal((await wire.next()).result, "opened");
});

test("an unknown stream's end, or one that never was, harms nothing", async () => {
  const { peer, wire } = asking();
  for (const params of [{ id: "unknown" }, { id: null }, {}, [1], undefined]) {
    wire.send({ jsonrpc: "2.0", method: "$/streamEnd", params });
  }
  const asked = peer.request("m", {}, { id: "a", onNotification: () => {} });
  wire.send({ jsonrpc: "2.0", method: "$/streamEnd", params: { id: "a" } });
  wire.send({ jsonrpc: "2.0", id: "a", result: 1 });
  assert.equal(await asked, 1);
});
