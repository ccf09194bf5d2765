/**
 * Goal: X1: the daemon connects nowhere but where its configuration lets it: not to a blocked address behind an allowed name, not to an
 * endpoint that the cloud names elsewhere, and not to where a redirect leads.
 * Method: the real daemon and a cloud that is ours to script, with a second server that must never be reached.
 */
import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { makeDaemonHome, startDaemon, temporaryFolder } from "@hl/testkit/programs.ts";
import { until } from "@hl/testkit/waiting.ts";

class Counted implements AsyncDisposable {
  readonly #server: Server;
  readonly paths: string[] = [];
  connections = 0;

  private constructor(listener: RequestListener) {
    this.#server = createServer((request, response) => {
      this.paths.push(request.url ?? "");
      listener(request, response);
    });
    this.#server.on("connection", () => (this.connections += 1));
  }

  static async start(
    host: string,
    listener: RequestListener = (_request, response) => void response.end(),
  ): Promise<Counted> {
    const counted = new Counted(listener);
    counted.#server.listen(0, host);
    await once(counted.#server, "listening");
    return counted;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close();
    this.#server.closeAllConnections();
    await once(this.#server, "close");
  }
}

const connection = {
  retry_delay: 0.1,
  max_retry_delay: 0.5,
  reconnect_spread: 0.1,
  heartbeat_interval: 1,
  compression: "none",
};
const daemon = { instance_id: "vm-1", workspace_id: "w" };
const env = { HL_ENROLLMENT_TOKEN: "one-time" };

test("X1: an allowed name that leads to a blocked address is not connected to", async () => {
  using folder = temporaryFolder("hl-networks");
  await using cloud = await Counted.start("127.0.0.1");
  const home = join(folder.path, "vm");
  makeDaemonHome(home, {
    cloud_api: { base_url: `http://localhost:${cloud.port}`, connection },
    security: { blocked_networks: ["127.0.0.0/8", "::/0"] },
    daemon,
  });
  {
    await using _daemon = await startDaemon(home, { env });
    const refused = /localhost:\d+ \((127\.0\.0\.1|::1)\) is blocked by .{1,20} in security\.blocked_networks/;
    await until("the log to name the rule", () =>
      refused.test(readFileSync(join(home, "logs/daemon.log"), "utf8").replaceAll("\\", "")),
    );
  }
  assert.equal(cloud.connections, 0);
});

/** A cloud that registers a VM, names an endpoint elsewhere for its events, and sends on whatever else it is asked. */
function cloudThatNames(away: string): Promise<Counted> {
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString("base64url");
  const now = Math.floor(Date.now() / 1000);
  const token = `${part({ alg: "none" })}.${part({ sub: "vm-1", iat: now, exp: now + 3600 })}.x`;
  return Counted.start("127.0.0.1", (request, response) => {
    let body = "";
    request.on("data", (chunk: Buffer) => (body += chunk.toString("utf8")));
    request.on("end", () => {
      if (!request.url?.endsWith("/register")) {
        response.writeHead(307, { location: `${away}${request.url}` }).end();
        return;
      }
      const { id } = JSON.parse(body) as { id: string };
      const api_endpoints = {
        commands: "/v1/vm/commands",
        events: `${away}/events`,
        heartbeat: "/v1/vm/heartbeat",
        status: "/s",
      };
      const configuration = { heartbeat_interval: 1, event_batch_size: 10, log_level: "info" };
      const result = { access_token: token, refresh_token: "r", registration_id: "r1", api_endpoints, configuration };
      response.setHeader("content-type", "application/json");
      response.end(JSON.stringify({ jsonrpc: "2.0", id, result }));
    });
  });
}

const sending = (cloud: Counted): Record<string, object> => ({
  cloud_api: { base_url: `http://127.0.0.1:${cloud.port}`, connection },
  event_streaming: { flush_interval: 0.1 },
  daemon,
});

test("X1: an endpoint that the cloud names elsewhere is reached where security.allowed_networks names it", async () => {
  using folder = temporaryFolder("hl-networks");
  await using elsewhere = await Counted.start("127.0.0.2");
  await using cloud = await cloudThatNames(`http://127.0.0.2:${elsewhere.port}`);
  makeDaemonHome(folder.path, { ...sending(cloud), security: { allowed_networks: ["127.0.0.0/8"] } });
  await using _daemon = await startDaemon(folder.path, { env });
  await until("events to arrive there", () => elsewhere.paths.includes("/events"));
});

test("X1: an endpoint that the cloud names elsewhere, and a redirect, lead nowhere", async () => {
  using folder = temporaryFolder("hl-networks");
  await using elsewhere = await Counted.start("127.0.0.2");
  await using cloud = await cloudThatNames(`http://127.0.0.2:${elsewhere.port}`);
  const home = join(folder.path, "vm");
  makeDaemonHome(home, sending(cloud));
  {
    await using _daemon = await startDaemon(home, { env });
    const log = (): string => readFileSync(join(home, "logs/daemon.log"), "utf8");
    await until("the log to refuse the events' endpoint", () =>
      /may not connect to 127\.0\.0\.2:\d+: nothing allows it/.test(log()),
    );
    await until("the heartbeat to have met the redirect", () => cloud.paths.includes("/v1/vm/heartbeat"));
    await until("the command channel too", () => cloud.paths.includes("/v1/vm/commands"));
  }
  assert.equal(elsewhere.connections, 0);
});
