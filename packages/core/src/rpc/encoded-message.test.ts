/**
 * Goal: P6: what is given as bytes is on the wire as if it had been text all the way, whichever bytes and whichever transport, and keeps its
 * place among other messages. Method: random bytes and random text against JSON.parse; real sockets with the bytes' memory used again.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { systemClock } from "../clock.ts";
import { encodeBytesNotification, textOf } from "./encoded-message.ts";
import { memoryTransports } from "./memory.ts";
import { NdjsonTransport } from "./ndjson.ts";
import { Peer } from "./peer.ts";
import { Inbox, unixSockets, webSockets } from "./testing/sockets.ts";
import { defaultTransportLimits, type Transport } from "./transport.ts";
import { WebSocketTransport } from "./websocket.ts";

const anyText = fc.string({ unit: "binary", maxLength: 300 });

test("P6: any text and any bytes are the same after JSON.parse, beside any other parameters", () => {
  fc.assert(
    fc.property(anyText, fc.uint8Array({ maxLength: 300 }), anyText, (text, bytes, other) => {
      for (const [encoding, given] of [
        ["utf8", Buffer.from(text)],
        ["base64", Buffer.from(bytes)],
      ] as const) {
        for (const params of [{}, { other, ключ: 1 }]) {
          const message = encodeBytesNotification("m", params, { name: "data", bytes: given, encoding }, 1500, other);
          const encoded = textOf(message);
          assert.equal(Buffer.byteLength(encoded), message.byteLength);
          const sent = JSON.parse(encoded) as { params: { data: string } };
          assert.deepEqual(Buffer.from(sent.params.data, encoding), given);
          const { data } = sent.params;
          const whole = { jsonrpc: "2.0", method: "m", request_id: other, timestamp: 1.5, params: { ...params, data } };
          assert.deepEqual(sent, whole);
          assert.equal(encoded.includes("\n"), false, "a line stays one line");
        }
      }
    }),
    { numRuns: 500 },
  );
});

type Pair = Disposable & { readonly from: Transport; readonly to: Transport };
const own = { clock: systemClock, limits: defaultTransportLimits, pingIntervalMs: 0, deadAfterMs: 0 };
const webSocket = (socket: Awaited<ReturnType<typeof webSockets>>["server"]): Transport =>
  new WebSocketTransport({ ...own, socket });

const transports: Readonly<Record<string, () => Promise<Pair>>> = {
  memory: async () => {
    const [from, to] = memoryTransports();
    return { from, to, [Symbol.dispose]: () => from.close("done") };
  },
  ndjson: async () => {
    const ends = await unixSockets();
    const from = new NdjsonTransport(ends.server, own.clock, own.limits);
    const to = new NdjsonTransport(ends.client, own.clock, own.limits);
    return { from, to, [Symbol.dispose]: () => ends[Symbol.dispose]() };
  },
  "WebSocket, from the server": async () => {
    const ends = await webSockets();
    return {
      from: webSocket(ends.server),
      to: webSocket(ends.client),
      [Symbol.dispose]: () => ends[Symbol.dispose](),
    };
  },
  "WebSocket, from the client": async () => {
    const ends = await webSockets();
    return {
      from: webSocket(ends.client),
      to: webSocket(ends.server),
      [Symbol.dispose]: () => ends[Symbol.dispose](),
    };
  },
};

for (const [name, make] of Object.entries(transports)) {
  test(`P6: over ${name}: every byte value, in order with other messages, from memory that is used again at once`, async () => {
    using pair = await make();
    const inbox = new Inbox();
    pair.to.open(inbox);
    const peer = new Peer({ transport: pair.from, clock: systemClock }).open();
    const rounds = 60;
    const memory = Buffer.alloc(60_000);
    for (let round = 0; round < rounds; round += 1) {
      for (let at = 0; at < memory.length; at += 1) memory[at] = (at + round) % 256;
      void peer.notifyBytes("bytes", { round }, { name: "data", bytes: memory, encoding: "base64" });
      memory.fill(0);
      void peer.notify("text", { round });
    }
    const messages = (await inbox.count(2 * rounds)).map(
      (text) => JSON.parse(text) as { method: string; params: { round: number; data: string } },
    );
    for (const [at, { method, params }] of messages.entries()) {
      assert.deepEqual([method, params.round], [at % 2 === 0 ? "bytes" : "text", Math.floor(at / 2)]);
      if (method === "text") continue;
      const bytes = Buffer.from(params.data, "base64");
      assert.equal(bytes.length, memory.length);
      assert.ok(bytes.every((value, index) => value === (index + params.round) % 256));
    }
  });
}
