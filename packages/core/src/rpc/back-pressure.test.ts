/**
 * Goal: P5, P7: a sender waits for its reader, a slow reader is waited for, one that takes nothing is cut off, and a caller
 * that asks and never reads holds a bounded amount of our memory.
 * Method: real sockets whose other end reads by hand; a hand-moved clock for the deadlines. The same for both transports.
 */
import assert from "node:assert/strict";
import type { Socket } from "node:net";
import { describe, test } from "node:test";
import { ManualClock } from "@hl/testkit/manual-clock.ts";
import { NdjsonTransport } from "./ndjson.ts";
import { Inbox, unixSockets, webSockets, type Ends } from "./testing/sockets.ts";
import { defaultTransportLimits, type Transport, type TransportLimits } from "./transport.ts";
import { WebSocketTransport } from "./websocket.ts";
import type { Clock } from "../clock.ts";

/** More than the kernel's largest buffers. */
const bigBytes = 32_000_000;
const big = "x".repeat(bigBytes);
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

interface Case extends Disposable {
  readonly sender: Transport;
  readonly reader: Transport;
  /** Lets the reader take a little. */
  readonly sip: () => Promise<void>;
  readonly sendRaw: (text: string) => void;
}

type Make = (clock: Clock, limits: TransportLimits) => Promise<Case>;

const ndjson: Make = async (clock, limits) => {
  const ends = await unixSockets();
  return {
    ...released(ends),
    sender: new NdjsonTransport(ends.server, clock, limits),
    reader: new NdjsonTransport(ends.client, clock, {
      ...limits,
      messageBytesMax: 2 * bigBytes,
      partialMessageMs: 1e9,
    }),
    sip: () => sip(ends.client),
    sendRaw: (text) => void ends.client.write(`${text}\n`),
  };
};

const webSocket: Make = async (clock, limits) => {
  const ends = await webSockets(2 * bigBytes);
  const over = (socket: (typeof ends)["server"]): Transport =>
    new WebSocketTransport({ socket, clock, limits, pingIntervalMs: 0, deadAfterMs: 0 });
  const raw = (ends.client as unknown as { _socket: Socket })._socket;
  return {
    ...released(ends),
    sender: over(ends.server),
    reader: over(ends.client),
    sip: () => sip(raw),
    sendRaw: (text) => ends.client.send(text),
  };
};

const released = (ends: Ends<unknown>): Disposable => ({ [Symbol.dispose]: () => ends[Symbol.dispose]() });

/** Some of what waits in a paused socket; as much as makes the kernel take more of the sender, whatever its buffers. */
async function sip(socket: Socket): Promise<void> {
  const enough = Promise.withResolvers<undefined>();
  let bytes = 0;
  const count = (chunk: Buffer): void => {
    bytes += chunk.length;
    if (bytes < 2_000_000) return;
    socket.pause();
    enough.resolve(undefined);
  };
  socket.on("data", count);
  socket.resume();
  await enough.promise;
  socket.off("data", count);
  for (let times = 0; times < 5; times += 1) await turn();
}

for (const [name, make] of Object.entries({ ndjson, webSocket })) {
  describe(name, () => {
    const limits = { ...defaultTransportLimits, highWaterBytes: 256 * 1024, writeDeadlineMs: 1_000 };
    const open = async (
      more: Partial<TransportLimits> = {},
    ): Promise<Case & { clock: ManualClock; sent: Inbox; read: Inbox }> => {
      const clock = new ManualClock();
      const made = await make(clock, { ...limits, ...more });
      const [sent, read] = [new Inbox(), new Inbox()];
      made.sender.open(sent);
      made.reader.open(read);
      return { ...made, clock, sent, read, [Symbol.dispose]: () => made[Symbol.dispose]() };
    };

    test("P5: send waits until the reader takes, then every sender goes on", async () => {
      using connection = await open();
      const { sender, reader, read, clock } = connection;
      reader.pause();
      let room = 0;
      const waits = [big, "second", "third"].map((text) => sender.send(text).then(() => (room += 1)));
      await turn();
      assert.equal(room, 0);
      reader.resume();
      await Promise.all(waits);
      assert.deepEqual(
        (await read.count(3)).map(({ length }) => length),
        [bigBytes, 6, 5],
      );
      assert.equal(clock.timers, 0);
    });

    test("P5: a reader that takes nothing is cut off at the deadline, and who waits is told", async () => {
      using connection = await open();
      const { sender, reader, sent, clock } = connection;
      reader.pause();
      const refused = assert.rejects(sender.send(big), /took nothing for too long/);
      void sender.send("nobody waits for this one");
      await clock.advance(999);
      await clock.advance(1);
      await refused;
      assert.match(await sent.whenClosed, /took nothing for too long/);
      await assert.rejects(sender.send("late"));
      assert.equal(clock.timers, 0);
    });

    test("P5: a reader that takes a little within each deadline is not cut off", async () => {
      using connection = await open();
      const { sender, reader, sent, read, clock } = connection;
      reader.pause();
      const waiting = sender.send(big);
      for (let count = 0; count < 6; count += 1) {
        await connection.sip();
        await clock.advance(900);
      }
      assert.equal(await Promise.race([sent.whenClosed, turn()]), undefined);
      reader.resume();
      await waiting;
      await read.count(1);
    });

    test("P7: with pauseReadsWhenFull a caller that does not read is not read either, and later everything is served", async () => {
      using connection = await open({ pauseReadsWhenFull: true, writeDeadlineMs: 1e9 });
      const { sender, reader, sent, read } = connection;
      reader.pause();
      const waiting = sender.send(big);
      for (let count = 0; count < 50; count += 1) connection.sendRaw(String(count));
      for (let count = 0; count < 20; count += 1) await turn();
      assert.equal(sent.messages.length, 0);
      sender.pause();
      sender.resume(); // The owner's brake must not release the other one.
      for (let count = 0; count < 20; count += 1) await turn();
      assert.equal(sent.messages.length, 0);
      reader.resume();
      await waiting;
      assert.deepEqual((await sent.count(50)).map(Number), [...Array(50).keys()]);
      await read.count(1);
    });
  });
}
