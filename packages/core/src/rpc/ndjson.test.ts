/**
 * Goal: however bytes come and whatever they are, each line is one message or one problem, and the connection stays usable.
 * Method: real unix sockets; the other end writes bytes itself; a hand-moved clock for every limit of time.
 */
import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { ManualClock } from "@hl/testkit/manual-clock.ts";
import { systemClock } from "../clock.ts";
import { NdjsonTransport } from "./ndjson.ts";
import { Peer } from "./peer.ts";
import { Inbox, unixSockets } from "./testing/sockets.ts";
import { scripted } from "./testing/wire.ts";
import { defaultTransportLimits, type TransportLimits } from "./transport.ts";

type Socket = Awaited<ReturnType<typeof unixSockets>>["server"];

const write = (socket: Socket, bytes: string | Uint8Array): Promise<void> =>
  new Promise((resolve) => socket.write(bytes, () => resolve()));

async function opened(
  limits: Partial<TransportLimits> = {},
): Promise<
  Disposable & { client: Socket; server: Socket; transport: NdjsonTransport; inbox: Inbox; clock: ManualClock }
> {
  const ends = await unixSockets();
  const clock = new ManualClock();
  const transport = new NdjsonTransport(ends.server, clock, { ...defaultTransportLimits, ...limits });
  const inbox = new Inbox();
  transport.open(inbox);
  return { ...ends, transport, inbox, clock, [Symbol.dispose]: () => ends[Symbol.dispose]() };
}

test("P6: a message is the same wherever its bytes are cut, and the limit of time does not outlive it", async () => {
  using connection = await opened();
  const { client, inbox, clock } = connection;
  const text = '{"a":"é🎉"}';
  const bytes = Buffer.from(`${text}\r\n`);
  for (let cut = 1; cut < bytes.length; cut += 1) {
    const arrived = once(connection.server, "data");
    await write(client, bytes.subarray(0, cut));
    await arrived;
    await write(client, bytes.subarray(cut));
    assert.equal((await inbox.count(cut)).at(-1), text);
    assert.equal(clock.timers, 0);
  }
});

test("several messages in a chunk, CRLF, empty lines and an unfinished last line", async () => {
  using connection = await opened();
  connection.client.end('{"n":1}\n{"n":2}\r\n\n\r\n{"n":3}');
  assert.deepEqual(await connection.inbox.count(3), ['{"n":1}', '{"n":2}', '{"n":3}']);
  assert.equal(await connection.inbox.whenClosed, "the other side closed the connection");
});

test("what is sent in one go leaves in one piece, keeps its order around a long message, and goes out before a close", async () => {
  using connection = await opened();
  const { client, server, transport } = connection;
  const chunks: string[] = [];
  client.on("data", (chunk: Buffer) => chunks.push(chunk.toString()));
  const short = Array.from({ length: 100 }, (_, n) => `"${n}"`);
  const writes = server.bytesWritten;
  for (const text of short) void transport.send(text);
  assert.equal(server.bytesWritten, writes, "it waits for the end of the turn");
  while (chunks.length === 0) await new Promise(setImmediate);
  assert.deepEqual(chunks, [short.map((text) => `${text}\n`).join("")]);
  chunks.length = 0;

  const long = `"${"x".repeat(100_000)}"`;
  const half = `"${"h".repeat(20_000)}"`;
  const sent = ["1", long, "2", half, half, "3", long, "4"];
  for (const text of sent) void transport.send(text);
  transport.close("done");
  await assert.rejects(transport.send("5"));
  await once(client, "end");
  assert.equal(chunks.join(""), sent.map((text) => `${text}\n`).join(""));
});

test("a line of 11 MB is skipped and answered, bytes that are no UTF-8 are answered, and the next request is served", async () => {
  using ends = await unixSockets();
  const transport = new NdjsonTransport(ends.server, systemClock, defaultTransportLimits);
  const handler = scripted(({ method }) => method);
  const refusals = {
    tooMany: () => ({ code: 1003, message: "too many" }),
    tooLarge: (message: string) => ({ code: 1004, message }),
  };
  new Peer({ transport, clock: systemClock, handler, refusals }).open();
  const answers = new Inbox();
  new NdjsonTransport(ends.client, systemClock, defaultTransportLimits).open(answers);
  ends.client.write(Buffer.alloc(11 * 1024 * 1024, "x"));
  ends.client.write("\n");
  ends.client.write(Buffer.from([0xff, 0xfe, 0x00, 0x0a]));
  ends.client.write('{"jsonrpc":"2.0","id":1,"method":"usable"}\n');
  const [large, binary, served] = (await answers.count(3)).map((text) => JSON.parse(text));
  assert.deepEqual([large.id, large.error.code], [null, 1004]);
  assert.match(large.error.message, /10485760 bytes/);
  assert.deepEqual([binary.id, binary.error.code], [null, -32700]);
  assert.deepEqual([served.id, served.result], [1, "usable"]);
});

test("half a line and then silence is closed after partialMessageMs; a skipped line has the same limit", async () => {
  for (const half of ['{"jsonrpc"', "x".repeat(200)]) {
    using connection = await opened({ partialMessageMs: 1_000, messageBytesMax: 100 });
    const { client, server, inbox, clock } = connection;
    const arrived = once(server, "data");
    await write(client, half);
    await arrived;
    await clock.advance(999);
    assert.equal(server.destroyed, false);
    await clock.advance(1);
    assert.match(await inbox.whenClosed, /not finished in time/);
    assert.equal(clock.timers, 0);
  }
});

test("a connection that is always in the middle of a message is not taken for a silent one", async () => {
  using connection = await opened({ partialMessageMs: 1_000 });
  const { client, inbox, clock } = connection;
  await write(client, '{"n":');
  for (let count = 1; count <= 5; count += 1) {
    await write(client, `${count}}\n{"n":`);
    await inbox.count(count);
    await clock.advance(900);
  }
  assert.equal(inbox.messages.length, 5);
  assert.equal(connection.server.destroyed, false);
});

test("while the owner pauses, the limit of a half message stands still", async () => {
  using connection = await opened({ partialMessageMs: 1_000 });
  const { client, server, transport, inbox, clock } = connection;
  const arrived = once(server, "data");
  await write(client, '{"n":');
  await arrived;
  transport.pause();
  await clock.advance(5_000);
  assert.equal(server.destroyed, false);
  transport.resume();
  await write(client, "1}\n");
  await inbox.count(1);
});

test("close lets what is queued go out, is idempotent, refuses later messages, and leaves no timer", async () => {
  using connection = await opened();
  const { client, transport, inbox, clock } = connection;
  const received = new Inbox();
  new NdjsonTransport(client, systemClock, defaultTransportLimits).open(received);
  const last = "x".repeat(3_000_000);
  void transport.send(last);
  transport.close("enough");
  transport.close("again");
  await assert.rejects(transport.send("late"), /enough/);
  assert.equal((await received.count(1))[0], last);
  assert.equal(await inbox.whenClosed, "enough");
  transport.close("after the end");
  assert.equal(clock.timers, 0);
});

test("a transport that is closed after the other side has gone leaves no timer", async () => {
  using connection = await opened();
  const { client, transport, inbox, clock } = connection;
  client.destroy();
  await inbox.whenClosed;
  transport.close("too late");
  await assert.rejects(transport.send("late"), /too late/);
  assert.equal(clock.timers, 0);
});

test("the limit of a message can change while the connection is open, and behind a close nothing is delivered", async () => {
  using connection = await opened({ messageBytesMax: 100 });
  const { client, inbox, transport } = connection;
  transport.limitMessages(10);
  await write(client, `${"a".repeat(11)}\n${"b".repeat(10)}\n`);
  assert.deepEqual(await inbox.count(1), ["b".repeat(10)]);
  assert.deepEqual(inbox.problems, [{ kind: "too_large", message: "a message may have 10 bytes" }]);
  transport.limitMessages(100);
  await write(client, `${"c".repeat(100)}\n`);
  assert.equal((await inbox.count(2)).at(-1), "c".repeat(100));
  inbox.message = () => assert.fail("delivered behind the close");
  await write(client, "d\n");
  transport.close("enough");
  client.resume();
  assert.equal(await inbox.whenClosed, "enough");
});
