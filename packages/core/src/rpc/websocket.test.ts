/**
 * Goal: a frame is a message or a problem, a dead peer is noticed, and closing ends whatever state the socket is in.
 * Method: real WebSockets on loopback; a hand-moved clock for pings and deadlines; raw frames where a library would be too polite.
 */
import assert from "node:assert/strict";
import { once } from "node:events";
import type { Socket } from "node:net";
import { test } from "node:test";
import { ManualClock, settled } from "@hl/testkit/manual-clock.ts";
import type { WebSocket } from "ws";
import { systemClock } from "../clock.ts";
import { Peer } from "./peer.ts";
import { Inbox, webSockets } from "./testing/sockets.ts";
import { scripted } from "./testing/wire.ts";
import { defaultTransportLimits } from "./transport.ts";
import { WebSocketTransport } from "./websocket.ts";

type Opened = Disposable & {
  client: WebSocket;
  server: WebSocket;
  transport: WebSocketTransport;
  inbox: Inbox;
  clock: ManualClock;
};

async function opened({ pingIntervalMs = 0, deadAfterMs = 0, messageBytesMax = 1_000_000 } = {}): Promise<Opened> {
  const ends = await webSockets(messageBytesMax);
  const clock = new ManualClock();
  const options = { socket: ends.server, clock, limits: defaultTransportLimits, pingIntervalMs, deadAfterMs };
  const transport = new WebSocketTransport(options);
  const inbox = new Inbox();
  transport.open(inbox);
  ends.client.resume(); // connectWebSocket leaves it paused for its transport, and here is none.
  return { ...ends, transport, inbox, clock, [Symbol.dispose]: () => ends[Symbol.dispose]() };
}

const rawSocket = (socket: WebSocket): Socket => (socket as unknown as { _socket: Socket })._socket;

test("a text frame is a message, also in fragments and byte by byte", async () => {
  using connection = await opened();
  const { client, inbox } = connection;
  client.send("whole é🎉");
  client.send("frag", { fin: false });
  client.send("ments", { fin: true });
  const frame = Buffer.from([0x81, 0x83, 0, 0, 0, 0, ...Buffer.from("abc")]);
  for (const byte of frame) {
    const arrived = once(rawSocket(connection.server), "data");
    rawSocket(client).write(Buffer.from([byte]));
    await arrived;
  }
  assert.deepEqual(await inbox.count(3), ["whole é🎉", "fragments", "abc"]);
});

test("a binary frame is answered as no text and the connection stays usable", async () => {
  using ends = await webSockets();
  const over = (socket: WebSocket): WebSocketTransport =>
    new WebSocketTransport({
      socket,
      clock: systemClock,
      limits: defaultTransportLimits,
      pingIntervalMs: 0,
      deadAfterMs: 0,
    });
  new Peer({ transport: over(ends.server), clock: systemClock, handler: scripted(({ method }) => method) }).open();
  const answers = new Inbox();
  over(ends.client).open(answers);
  ends.client.send(Buffer.from([0, 1, 2]));
  ends.client.send('{"jsonrpc":"2.0","id":1,"method":"usable"}');
  const [refused, served] = (await answers.count(2)).map((text) => JSON.parse(text));
  assert.deepEqual([refused.id, refused.error.code], [null, -32700]);
  assert.equal(served.result, "usable");
});

test("a frame over the limit, and bytes that are no UTF-8, close the connection with the standard's code", async () => {
  const frames = [
    { bytes: Buffer.from([0x81, 0xff, 0, 0, 0, 0, 0, 0xb0, 0, 0, 0, 0, 0, 0]), code: 1009 },
    { bytes: Buffer.from([0x81, 0x82, 0, 0, 0, 0, 0xff, 0xfe]), code: 1007 },
  ];
  for (const { bytes, code } of frames) {
    using connection = await opened({ messageBytesMax: 10_000_000 });
    const closed = once(connection.client, "close") as Promise<[number]>;
    rawSocket(connection.client).write(bytes);
    assert.equal((await closed)[0], code);
    assert.notEqual(await connection.inbox.whenClosed, "");
    assert.equal(connection.inbox.messages.length, 0);
  }
});

test("C3: a peer that is silent for deadAfterMs is dead; any frame proves that it lives", async () => {
  using connection = await opened({ pingIntervalMs: 1_000, deadAfterMs: 3_000 });
  const { client, server, inbox, clock } = connection;
  const raw = rawSocket(client);
  for (let count = 1; count <= 5; count += 1) {
    const pinged = once(client, "ping");
    const ponged = once(server, "pong");
    await clock.advance(1_000);
    await pinged;
    await ponged;
  }
  raw.pause(); // From now on nobody answers pings: what the client sends by itself must count as well.
  for (let count = 1; count <= 5; count += 1) {
    client.send(String(count));
    await inbox.count(count);
    await clock.advance(1_000);
  }
  assert.equal(server.readyState, server.OPEN);
  await clock.advance(3_000);
  assert.match(await inbox.whenClosed, /no frame for \d s/);
  assert.equal(clock.timers, 0);
});

test("C3: a silent peer is pinged after each interval, and dead exactly at deadAfterMs, not at the next ping", async () => {
  using connection = await opened({ pingIntervalMs: 20_000, deadAfterMs: 45_000 });
  const { client, server, inbox, clock } = connection;
  rawSocket(client).pause();
  await clock.advance(44_999);
  assert.equal(server.readyState, server.OPEN);
  await clock.advance(1);
  assert.match(await inbox.whenClosed, /no frame for 45 s/);
});

test("C3: a probe gives the peer up unless a frame comes in time, and leaves no timer", async () => {
  using connection = await opened();
  const { client, server, transport, inbox, clock } = connection;
  const ponged = once(server, "pong");
  transport.probe(5_000);
  await ponged;
  await clock.advance(5_000);
  assert.equal(server.readyState, server.OPEN);
  rawSocket(client).pause();
  transport.probe(5_000);
  await clock.advance(4_999);
  assert.equal(server.readyState, server.OPEN);
  await clock.advance(1);
  assert.match(await inbox.whenClosed, /no frame within 5 s/);
  assert.equal(clock.timers, 0);
});

test("while the owner pauses, silence says nothing about the peer", async () => {
  using connection = await opened({ pingIntervalMs: 1_000, deadAfterMs: 3_000 });
  const { server, transport, clock } = connection;
  transport.pause();
  await clock.advance(10_000);
  assert.equal(server.readyState, server.OPEN);
  transport.resume();
  await clock.advance(2_000);
  assert.equal(server.readyState, server.OPEN);
});

test("close is idempotent, says why within the protocol's 123 bytes, and leaves no timer", async () => {
  using connection = await opened();
  const { client, transport, inbox, clock } = connection;
  const closed = once(client, "close") as Promise<[number, Buffer]>;
  const reason = `enough ${"é".repeat(200)}`;
  transport.close(reason);
  transport.close("again");
  await assert.rejects(transport.send("late"), /enough/);
  const [code, said] = await closed;
  assert.equal(code, 1000);
  assert.ok(said.toString().startsWith("enough é"));
  assert.equal(await inbox.whenClosed, reason);
  transport.close("after the end");
  assert.equal(clock.timers, 0);
});

test("close while the other side is closing, and on a paused connection, comes to an end", async () => {
  for (const prepare of ["closing", "paused"] as const) {
    using connection = await opened();
    const { client, server, transport, inbox, clock } = connection;
    if (prepare === "closing") {
      server.close(1000, "from outside");
      assert.equal(server.readyState, server.CLOSING);
    } else {
      transport.pause();
      client.send("unread");
      await settled();
    }
    transport.close("enough");
    assert.equal(await inbox.whenClosed, "enough");
    assert.equal(clock.timers, 0, prepare);
  }
});

test("close of a peer that does not answer is forced after two seconds", async () => {
  using connection = await opened();
  const { client, transport, inbox, clock } = connection;
  client.pause();
  transport.close("enough");
  await clock.advance(2_000);
  assert.equal(await inbox.whenClosed, "enough");
});

test("the other side's reason is passed on; a connection that is cut has one too", async () => {
  using polite = await opened();
  polite.client.close(4000, "because");
  assert.equal(await polite.inbox.whenClosed, "because");
  using cut = await opened();
  cut.client.terminate();
  assert.match(await cut.inbox.whenClosed, /closed the connection \(1006\)/);
});
