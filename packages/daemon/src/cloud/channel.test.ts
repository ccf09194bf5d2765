/**
 * Goal: C3: how the channel comes back: spread over what an announced stop said, at once after a sleep, by a window otherwise.
 * Method: the real channel against a server on a real socket that says what a test tells it; time moved by hand.
 */
import assert from "node:assert/strict";
import { once } from "node:events";
import type { AddressInfo, Socket } from "node:net";
import { test } from "node:test";
import { silentLogger } from "@hl/core/logger.ts";
import { defaultTransportLimits } from "@hl/core/rpc/transport.ts";
import type { LinkSettings } from "@hl/protocol/link-settings.ts";
import { ManualClock, settled } from "@hl/testkit/manual-clock.ts";
import { WebSocketServer, type WebSocket } from "ws";
import { testConnect } from "../network/testing/open-connect.ts";
import { ChannelPaths } from "./channel-paths.ts";
import { CommandChannel } from "./channel.ts";
import { CloudHttp } from "./http.ts";
import { Retry } from "./retry.ts";

class World implements AsyncDisposable {
  readonly clock = new ManualClock();
  readonly server = new WebSocketServer({ port: 0, host: "127.0.0.1" });
  readonly sockets: WebSocket[] = [];
  readonly losses: string[] = [];
  readonly settings: LinkSettings[] = [];
  connected = 0;
  readonly channel: CommandChannel;
  readonly #http: CloudHttp;

  constructor(random: number) {
    const { clock } = this;
    this.#http = new CloudHttp({
      clock,
      timeoutMs: 10_000,
      connectionsMax: 1,
      answerBytesMax: 1_000,
      connect: testConnect({ clock }),
      retryAfterMaxMs: 1_000,
    });
    this.server.on("connection", (socket) => {
      this.sockets.push(socket);
      socket.on("message", (data: Buffer) => {
        const { id, method } = JSON.parse(data.toString("utf8")) as { id: string; method: string };
        if (method !== "vm/hello") return;
        const result = { protocol_version: "1.0", session_id: "s", server_time: 0 };
        socket.send(JSON.stringify({ jsonrpc: "2.0", id, result }));
      });
    });
    const paths = new ChannelPaths({
      clock,
      random: () => random,
      logger: silentLogger,
      http: this.#http,
      limits: defaultTransportLimits,
      pingIntervalMs: 0,
      deadAfterMs: 0,
      connectTimeoutMs: 10_000,
      connect: testConnect({ clock }),
      target: async () => ({ url: `http://127.0.0.1:${(this.server.address() as AddressInfo).port}/`, token: "t" }),
      renew: async () => {},
      retryAfterMaxMs: 1_000,
      longPollAfter: 3,
      longPollWaitMs: 1_000,
      webSocketRetryMs: 1_000,
    });
    this.channel = new CommandChannel({
      clock,
      logger: silentLogger,
      retry: new Retry({ clock, random: () => random, logger: silentLogger, minMs: 10_000, maxMs: 60_000 }),
      paths,
      connectTimeoutMs: 10_000,
      hello: () => ({
        registration_id: "r",
        daemon_version: "1",
        protocol_version: "1.0",
        boot_id: "b",
        epoch: "e",
        running: [],
        unacked_results: [],
      }),
      handler: { request: async () => ({}), describe: () => ({ code: -32603, message: "x" }) },
      refusals: { tooMany: () => ({ code: 1, message: "" }), tooLarge: () => ({ code: 1, message: "" }) },
      inFlightMax: 8,
      drainSpreadMaxMs: 600_000,
      onConnected: () => void (this.connected += 1),
      onSettings: (settings) => void this.settings.push(settings),
      onDisconnected: (reason) => void this.losses.push(reason),
    });
  }

  async untilConnected(count: number): Promise<WebSocket> {
    while (this.connected < count) await settled();
    return this.sockets.at(-1)!;
  }

  async untilLost(count: number): Promise<void> {
    while (this.losses.length < count) await settled();
    await settled();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.sockets) socket.terminate();
    await this.channel[Symbol.asyncDispose]();
    await this.#http[Symbol.asyncDispose]();
    this.server.close();
    await once(this.server, "close");
  }
}

test("C3: a loss without a word waits for its place in the window, an announced one for its place in the spread", async () => {
  await using w = new World(0.5);
  await once(w.server, "listening");
  await w.channel.start();
  (await w.untilConnected(1)).terminate();
  await w.untilLost(1);
  await w.clock.advance(4_999);
  assert.equal(w.connected, 1);
  await w.clock.advance(1);
  const second = await w.untilConnected(2);
  second.send('{"jsonrpc":"2.0","method":"vm/drain","params":{"spread_seconds":40}}');
  second.close(1001, "stopping");
  await w.untilLost(2);
  await w.clock.advance(19_999);
  assert.equal(w.connected, 2);
  await w.clock.advance(1);
  await w.untilConnected(3);
  assert.equal(w.channel.reconnects, 2);
});

test("numbers that the cloud sets while it is connected are handed on, and what is no number is not", async () => {
  await using w = new World(0.5);
  await once(w.server, "listening");
  await w.channel.start();
  const socket = await w.untilConnected(1);
  for (const params of ['{"flush_interval":"soon"}', "[]", '{"flush_interval":0.25,"of_tomorrow":1}', "{}"]) {
    socket.send(`{"jsonrpc":"2.0","method":"vm/settings","params":${params}}`);
  }
  while (w.settings.length < 2) await settled();
  assert.deepEqual(w.settings, [{ flush_interval: 0.25 }, {}]);
});

test("C3: after a sleep the channel is asked at once; without an answer it is opened anew at once, and a wait is over", async () => {
  await using w = new World(1);
  await once(w.server, "listening");
  await w.channel.start();
  const first = await w.untilConnected(1);
  const ponged = once(first, "ping");
  w.channel.resumed(5_000);
  await ponged;
  (first as unknown as { _socket: Socket })._socket.pause(); // The other end is gone, and says nothing of it.
  w.channel.resumed(5_000);
  await w.clock.advance(5_000);
  const second = await w.untilConnected(2);
  assert.match(w.losses[0] ?? "", /no frame within 5 s/);
  await w.clock.advance(20_000);
  second.terminate();
  await w.untilLost(2);
  await w.clock.advance(1_000);
  assert.equal(w.connected, 2);
  w.channel.resumed(5_000); // It slept in the middle of the wait.
  await w.untilConnected(3);
});
