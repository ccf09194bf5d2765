/**
 * Goal: P5, P7, X3: whoever floods a local interface without a token is refused in bounded memory, log and audit, and meanwhile callers with the
 * token are answered, on connections that they have and on new ones. Method: the real daemon; tens of thousands of requests of every kind of
 * garbage as fast as they go, which is more than any rate. How fast the answers are is measured by `npm run bench -- flood`.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { Flood, httpGarbage, lineGarbage, type Garbage } from "@hl/testkit/flood.ts";
import { http } from "@hl/testkit/http.ts";
import type { MessageClient } from "@hl/testkit/message-client.ts";
import { descriptorCount } from "@hl/testkit/processes.ts";
import { TestDaemon } from "@hl/testkit/system.ts";
import { until } from "@hl/testkit/waiting.ts";

const floodRequests = 30_000;
const connectionsMax = 64;

describe("floods of the local interfaces", () => {
  let daemon: TestDaemon;
  let client: MessageClient;

  const rssKb = (): number =>
    Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${daemon.pid}/status`, "utf8"))?.[1] ?? Number.NaN);
  const logLines = (): number => readFileSync(join(daemon.home, "logs/daemon.log"), "utf8").split("\n").length;
  /** Events that were recorded and wait: there is no cloud. */
  const events = async (): Promise<number> => (await client.call("system/health")).spool.depth;

  /** Floods while callers of every kind ask. */
  async function flooded(to: () => Socket, garbage: readonly Garbage[], connections: number): Promise<void> {
    using flood = new Flood({ connect: to, garbage, connections });
    for (let round = 0; flood.requests < floodRequests; round += 1) {
      flood.send(500);
      await new Promise((resolve) => setTimeout(resolve, 1));
      if (round % 10 !== 0) continue;
      assert.equal((await client.call("system/health")).status === "unhealthy", false);
      using fresh = await daemon.connect();
      assert.equal((await fresh.call("system/ping")).pong, true);
      assert.equal((await daemon.post({ jsonrpc: "2.0", id: 1, method: "system/ping" })).result.pong, true);
      assert.equal((await http(`${daemon.url}/health`)).status, 200);
    }
  }

  before(async () => {
    daemon = await TestDaemon.start({ config: { local_api: { max_connections: connectionsMax } } });
    client = await daemon.connect();
    await client.call("system/health");
  });

  after(async () => {
    client[Symbol.dispose]();
    await daemon[Symbol.asyncDispose]();
  });

  for (const kind of ["socket", "http"] as const) {
    test(`${kind}: callers with the token are served meanwhile, and nothing of the flood stays`, async () => {
      const { hostname, port, host } = new URL(daemon.url);
      const to = (): Socket =>
        kind === "socket" ? connect(daemon.program.ready.socket) : connect(Number(port), hostname);
      const garbage = kind === "socket" ? lineGarbage : httpGarbage(host);
      const lines = logLines();
      const recorded = await events();
      const descriptors = descriptorCount(daemon.pid);
      await flooded(to, garbage, 32);
      // Twice: what the first takes of memory is what every next one uses again.
      const afterFirst = rssKb();
      await flooded(to, garbage, 2 * connectionsMax);
      assert.ok(rssKb() - afterFirst < 65_536, `it grew from ${afterFirst} to ${rssKb()} kB`);
      assert.ok(logLines() - lines < 200, `${logLines() - lines} lines of log`);
      assert.ok((await events()) - recorded < 200, `${await events()} events`);
      await until("its connections to be gone", () => descriptorCount(daemon.pid) <= descriptors + 2);
    });
  }

  test("connections that are held open without a word keep nobody out, on either interface", async () => {
    const { hostname, port } = new URL(daemon.url);
    const held: Socket[] = [];
    const hold = (socket: Socket): void => {
      socket.on("error", () => {});
      held.push(socket);
    };
    for (let index = 0; index < 2 * connectionsMax; index += 1) {
      hold(connect(daemon.program.ready.socket));
      hold(connect(Number(port), hostname));
    }
    for (let index = 0; index < 20; index += 1) {
      using fresh = await daemon.connect();
      assert.equal((await fresh.call("system/ping")).pong, true);
      assert.equal((await daemon.post({ jsonrpc: "2.0", id: 1, method: "system/ping" })).result.pong, true);
      using webSocket = await daemon.connectWebSocket();
      assert.equal((await webSocket.call("system/ping")).pong, true);
    }
    for (const socket of held) socket.destroy();
  });
});
