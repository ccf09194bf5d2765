/**
 * Goal: the configured paths are where the daemon asks a cloud that names none; without `keepalive` each request has a connection of its own.
 * Method: the real daemon; the cloud is an HTTP server of the test that answers what the daemon needs to go on, and notes where it was asked.
 */
import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { connectSocket } from "@hl/testkit/message-client.ts";
import { makeDaemonHome, startDaemon, temporaryFolder } from "@hl/testkit/programs.ts";
import { until } from "@hl/testkit/waiting.ts";

const endpoints = {
  ...{ register: "/own/register", token: "/own/token", heartbeat: "/own/heartbeat" },
  ...{ commands: "/own/commands", events: "/own/events", status: "/own/status" },
};
const connection = {
  ...{ retry_delay: 0.1, max_retry_delay: 0.5, reconnect_spread: 0.1, compression: "none" },
  ...{ heartbeat_interval: 1, heartbeat_interval_min: 0.1 },
};

interface Request {
  readonly id: string;
  readonly method: string;
  readonly params: Readonly<Record<string, unknown>>;
}

/** Takes everything, names no paths, and gives tokens that have to be renewed within a second. */
class BareCloud implements AsyncDisposable {
  readonly paths = new Set<string>();
  readonly eventIds: unknown[] = [];
  /** Sockets of the requests that are not of the command channel. */
  readonly sockets: Socket[] = [];
  readonly #server: Server = createServer((request, response) => {
    void this.#answer(request).then((body) => response.setHeader("content-type", "application/json").end(body));
  });

  static async start(): Promise<BareCloud> {
    const cloud = new BareCloud();
    cloud.#server.on("upgrade", ({ url = "" }: IncomingMessage, socket) => {
      cloud.paths.add(url);
      socket.destroy();
    });
    await once(cloud.#server.listen(0, "127.0.0.1"), "listening");
    return cloud;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async #answer(request: IncomingMessage): Promise<string> {
    const { url = "", socket, method } = request;
    this.paths.add(url.replace(/\?.*/, ""));
    const parts: Buffer[] = [];
    for await (const part of request) parts.push(part as Buffer);
    if (url.includes(endpoints.commands)) return "[]";
    this.sockets.push(socket);
    assert.equal(method, "POST");
    const body = JSON.parse(Buffer.concat(parts).toString()) as Request | Request[];
    const answers = [body].flat().map((asked) => ({ jsonrpc: "2.0", id: asked.id, result: this.#resultOf(asked) }));
    return JSON.stringify(Array.isArray(body) ? answers : answers[0]);
  }

  #resultOf({ method, params }: Request): object {
    const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString("base64url");
    const iat = Math.floor(Date.now() / 1000);
    const access_token = `${part({ alg: "none" })}.${part({ sub: "vm-1", iat, exp: iat + 2 })}.x`;
    const tokens = { access_token, refresh_token: crypto.randomUUID() };
    if (method === "vm/token/refresh") return tokens;
    if (method === "event/stream") {
      this.eventIds.push(params["event_id"]);
      return { event_id: params["event_id"], status: "accepted" };
    }
    if (method !== "vm/register") return { ok: true, server_time: iat, heartbeat_interval: 1 };
    const configuration = { heartbeat_interval: 1, event_batch_size: 10, log_level: "info" };
    return { ...tokens, registration_id: "r1", api_endpoints: {}, configuration };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close();
    this.#server.closeAllConnections();
    await once(this.#server, "close");
  }
}

for (const [keepalive, prefix] of [
  [true, ""],
  [false, "/behind/a/gateway"],
] as const) {
  test(`cloud_api.endpoints where the cloud names none; keepalive ${keepalive}, below "${prefix}"`, async () => {
    using folder = temporaryFolder("hl-endpoints");
    await using cloud = await BareCloud.start();
    const home = join(folder.path, "vm");
    makeDaemonHome(home, {
      cloud_api: { base_url: cloud.url + prefix, endpoints, connection: { ...connection, keepalive } },
      event_streaming: { flush_interval: 0.05 },
      daemon: { instance_id: "vm-1", workspace_id: "w" },
    });
    await using daemon = await startDaemon(home, { env: { HL_ENROLLMENT_TOKEN: "one-time" } });
    const token = readFileSync(join(home, "data/auth/local_token"), "utf8").trim();
    using client = await connectSocket(daemon.ready.socket, token);
    await client.call("event/stream", { event_id: "e-1", event_type: "mark", timestamp: 0, data: {} });
    await until("each path to be asked", () =>
      Object.values(endpoints).every((path) => cloud.paths.has(prefix + path)),
    );
    await until("the event", () => cloud.eventIds.includes("e-1"));
    await until("a dozen requests", () => cloud.sockets.length >= 12);
    assert.deepEqual(
      [...cloud.paths].filter((path) => !path.startsWith(`${prefix}/own/`)),
      [],
    );
    const connections = new Set(cloud.sockets).size;
    if (keepalive) assert.ok(connections < cloud.sockets.length / 2, `${connections} of ${cloud.sockets.length}`);
    else assert.equal(connections, cloud.sockets.length);
  });
}
