/**
 * Goal: opening a WebSocket ends within its time whatever the other end does, also over a connection that was there before.
 * Method: a bare TCP server on loopback that is silent, slow, or never ends its answer.
 */
import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, createServer, type AddressInfo, type Socket } from "node:net";
import { describe, test } from "node:test";
import { systemClock } from "../clock.ts";
import { connectWebSocket, UpgradeRefused } from "./connect-websocket.ts";

const timeoutMs = 400;

/** What the server does with an upgrade; the socket is destroyed with the test. */
const servers: Readonly<Record<string, (socket: Socket) => void>> = {
  "says nothing": () => {},
  "sends a byte now and then": (socket) => {
    const text = `HTTP/1.1 101 Switching Protocols\r\nx: ${"x".repeat(1_000)}`;
    const left = new AbortController();
    socket.once("close", () => left.abort());
    void (async () => {
      for (const byte of text) {
        socket.write(byte);
        await systemClock.sleep(20, left.signal);
      }
    })().catch(() => {});
  },
  "never ends its refusal": (socket) => {
    socket.write("HTTP/1.1 503 Service Unavailable\r\ncontent-length: 100\r\n\r\nnot");
  },
};

describe("opening a WebSocket", () => {
  for (const [what, serve] of Object.entries(servers)) {
    for (const isThere of [true, false]) {
      test(`a server that ${what}, ${isThere ? "over a connection that is there" : "over its own connection"}`, async () => {
        const server = createServer((socket) => {
          socket.on("error", () => {});
          socket.once("data", () => serve(socket));
        });
        await once(server.listen(0, "127.0.0.1"), "listening");
        const { port } = server.address() as AddressInfo;
        const accepted = once(server, "connection") as Promise<[Socket]>;
        const connection = isThere ? connect(port, "127.0.0.1") : undefined;
        const opening = connectWebSocket({
          url: `ws://127.0.0.1:${port}/`,
          messageBytesMax: 1_000,
          timeoutMs,
          connection,
        });
        await assert.rejects(opening, (error) => {
          assert.ok(!(error instanceof UpgradeRefused), String(error));
          assert.match(String(error), /did not answer the WebSocket upgrade within 400 ms/);
          return true;
        });
        const [socket] = await accepted;
        if (!socket.closed) await once(socket, "close");
        server.close();
      });
    }
  }
});
