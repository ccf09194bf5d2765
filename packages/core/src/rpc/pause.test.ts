import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer as createHttpServer } from "node:http";
import { connect, createServer, type AddressInfo, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { WebSocketServer, type WebSocket } from "ws";
import { systemClock } from "../clock.ts";
import { connectWebSocket, UpgradeRefused } from "./connect-websocket.ts";
import { memoryTransports } from "./memory.ts";
import { NdjsonTransport } from "./ndjson.ts";
import { defaultTransportLimits, type Transport } from "./transport.ts";
import { WebSocketTransport } from "./websocket.ts";

// Goal: P5, a consumer that pauses receives nothing more, slows its sender down, and later receives everything in order.
// Method: real sockets; the sender writes until it is told to wait, and only a resumed reader lets it go on.
async function pauseHoldsAndLosesNothing(sender: Transport, reader: Transport): Promise<void> {
  const received: string[] = [];
  const paused = Promise.withResolvers<undefined>();
  const arrived = Promise.withResolvers<undefined>();
  const filler = "x".repeat(64 * 1024);
  reader.open({
    message: (text) => {
      received.push(text.slice(0, text.indexOf(" ")));
      if (received.length === 1) {
        reader.pause();
        paused.resolve(undefined);
      }
      if (text.startsWith("last ")) arrived.resolve(undefined);
    },
    problem: (problem) => arrived.reject(new Error(problem.message)),
    closed: (reason) => arrived.reject(new Error(reason)),
  });
  sender.open({ message: () => {}, problem: () => {}, closed: () => {} });
  const sent = ["first"];
  await sender.send("first ");
  await paused.promise;
  let blocked: Promise<void> | undefined;
  while (blocked === undefined && sent.length < 2_000) {
    sent.push(String(sent.length));
    const wait = sender.send(`${sent.length - 1} ${filler}`);
    const room = await Promise.race([wait.then(() => true), new Promise((later) => setImmediate(later, false))]);
    if (room === false) blocked = wait;
  }
  assert.ok(blocked !== undefined, "the sender was never told to wait");
  assert.ok(received.length < sent.length, "a paused reader received everything");
  reader.resume();
  await blocked;
  sent.push("last");
  await sender.send(`last ${filler}`);
  await arrived.promise;
  assert.deepEqual(received, sent);
}

const limits = { ...defaultTransportLimits, highWaterBytes: 256 * 1024 };

test("P5: a paused ndjson reader slows its sender down and loses nothing", async () => {
  const directory = mkdtempSync(join(tmpdir(), "hl-pause-"));
  const server = createServer();
  server.listen(join(directory, "s"));
  await once(server, "listening");
  const accepted = once(server, "connection") as Promise<[Socket]>;
  const client = connect(join(directory, "s"));
  const [served] = await accepted;
  await pauseHoldsAndLosesNothing(
    new NdjsonTransport(served, systemClock, limits),
    new NdjsonTransport(client, systemClock, limits),
  );
  client.destroy();
  served.destroy();
  server.close();
  rmSync(directory, { recursive: true });
});

test("P5: a paused WebSocket reader slows its sender down and loses nothing", async () => {
  const server = new WebSocketServer({ host: "127.0.0.1", port: 0, handleProtocols: () => "hl.v1" });
  await once(server, "listening");
  const accepted = once(server, "connection") as Promise<[WebSocket]>;
  const url = `ws://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const client = await connectWebSocket({ url, subprotocol: "hl.v1", messageBytesMax: 1_000_000, timeoutMs: 5_000 });
  const [served] = await accepted;
  assert.equal(client.protocol, "hl.v1");
  const transport = (socket: WebSocket): Transport =>
    new WebSocketTransport({ socket, clock: systemClock, limits, pingIntervalMs: 0, deadAfterMs: 0 });
  await pauseHoldsAndLosesNothing(transport(served), transport(client));
  client.terminate();
  server.close();
});

test("a paused memory transport keeps messages in order", async () => {
  const [left, right] = memoryTransports();
  const received: string[] = [];
  right.open({ message: (text) => received.push(text), problem: () => {}, closed: () => {} });
  right.pause();
  await left.send("1");
  await left.send("2");
  await new Promise(setImmediate);
  assert.deepEqual(received, []);
  right.resume();
  assert.deepEqual(received, ["1", "2"]);
});

test("connectWebSocket: a refused upgrade keeps status, body and Retry-After; an abort and a closed port reject", async () => {
  const server = createHttpServer();
  server.on("upgrade", (_request, socket) => {
    socket.end("HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nContent-Length: 4\r\nConnection: close\r\n\r\nwait");
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const url = `ws://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  const options = { url, messageBytesMax: 1_000, timeoutMs: 5_000 };
  await assert.rejects(connectWebSocket(options), (error) => {
    assert.ok(error instanceof UpgradeRefused);
    assert.deepEqual([error.status, error.body, error.retryAfter], [503, "wait", "7"]);
    return true;
  });
  const abort = new AbortController();
  const connecting = connectWebSocket({ ...options, signal: abort.signal });
  abort.abort(new Error("enough"));
  await assert.rejects(connecting, /enough/);
  server.close();
  await once(server, "close");
  await assert.rejects(connectWebSocket(options), { code: "ECONNREFUSED" });
});
