/**
 * Goal: each limit of `local_api` reaches the server that keeps it, and each is changed while the daemon runs.
 * Method: the real composition of both servers over a configuration from files; a clock moved by hand; callers that write bytes.
 */
import assert from "node:assert/strict";
import { mkdirSync, readFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { loadConfig, type Config } from "@hl/config/load.ts";
import { silentLogger } from "@hl/core/logger.ts";
import { defaultTransportLimits } from "@hl/core/rpc/transport.ts";
import { ManualClock, settled } from "@hl/testkit/manual-clock.ts";
import { makeDaemonHome, temporaryFolder } from "@hl/testkit/programs.ts";
import { until } from "@hl/testkit/waiting.ts";
import { MethodDurations } from "../health/method-durations.ts";
import { composeLocalApi, composeSessions, type ApiPorts } from "./api.ts";
import { LiveConfig } from "./live-config.ts";

function configIn(home: string, local_api: object): Config {
  makeDaemonHome(home, { local_api });
  mkdirSync(join(home, "data/auth"), { recursive: true });
  mkdirSync(join(home, "data/state"), { recursive: true });
  const loaded = loadConfig({ home, testMode: true, env: {} });
  assert.ok(loaded.ok, JSON.stringify(loaded));
  return loaded.config;
}

const ping = '{"jsonrpc":"2.0","id":1,"method":"system/ping"}\n';

test("the limits of local_api hold as configured, and as changed from then on", async () => {
  using folder = temporaryFolder("hl-api");
  const rate = { requests_per_minute: 60, burst_limit: 2, backoff_strategy: "linear" };
  const first = { max_connections: 3, login_timeout_seconds: 4, idle_timeout_seconds: 50, rate_limiting: rate };
  const config = configIn(folder.path, first);
  const clock = new ManualClock();
  await using building = new AsyncDisposableStack();
  const live = new LiveConfig(config);
  const ports = {
    ...{ config, live, clock, logger: silentLogger, building, testMode: true, handlers: {}, monitor: {} },
    ...{ audit: { call() {} }, redactor: { redact: (value: unknown) => value }, noteError() {} },
    ...{ errorRate: { call() {} }, durations: new MethodDurations() },
  };
  const api = ports as unknown as ApiPorts;
  const { socket } = composeLocalApi(api, composeSessions(api), defaultTransportLimits);
  await socket.start();
  const open = async (): Promise<{ readonly socket: Socket; text: () => string }> => {
    const caller = connect(config.daemon.local_api.socket_path);
    building.defer(() => void caller.destroy());
    let text = "";
    caller.on("data", (chunk: Buffer) => (text += chunk.toString()));
    caller.on("error", () => {});
    await until("a connection", () => !caller.connecting);
    await settled();
    return { socket: caller, text: () => text };
  };
  const closesAfter = async (ms: number): Promise<void> => {
    const { socket: caller } = await open();
    await clock.advance(ms - 1);
    for (let turn = 0; turn < 10; turn += 1) await settled();
    assert.equal(caller.destroyed, false);
    await clock.advance(1);
    await until("the end", () => caller.destroyed);
  };
  const idlesFor = async (ms: number): Promise<void> => {
    const { socket: caller, text } = await open();
    const token = readFileSync(config.daemon.local_api.token_file, "utf8").trim();
    caller.write(`${JSON.stringify({ jsonrpc: "2.0", id: 1, method: "auth/login", params: { token } })}\n`);
    await until("the answer to the login", () => text().includes('"role":'));
    await clock.advance(ms - 1);
    for (let turn = 0; turn < 10; turn += 1) await settled();
    assert.equal(caller.destroyed, false);
    await clock.advance(1);
    await until("the end", () => caller.destroyed);
  };
  const refusals = async (messages: number): Promise<number[]> => {
    const { socket: caller, text } = await open();
    caller.write(ping.repeat(messages));
    const lines = await until("all answers", () => {
      const whole = text().split("\n").slice(0, -1);
      return whole.length === messages && whole;
    });
    caller.destroy();
    await until("its place", () => caller.destroyed);
    return lines.map((line) => {
      const { code, data } = (JSON.parse(line) as { error: { code: number; data: { retry_after_ms?: number } } }).error;
      return data.retry_after_ms ?? code;
    });
  };
  await closesAfter(4_000);
  await idlesFor(50_000);
  assert.deepEqual(await refusals(4), [1001, 1001, 1_000, 2_000]);
  const changed = { ...first, max_connections: 1, login_timeout_seconds: 1, idle_timeout_seconds: 20 };
  const faster = { requests_per_minute: 60_000, burst_limit: 3, backoff_strategy: "constant" };
  using second = temporaryFolder("hl-api");
  live.take(configIn(second.path, { ...changed, rate_limiting: faster }));
  await closesAfter(1_000);
  await idlesFor(20_000);
  assert.deepEqual(await refusals(4), [1001, 1001, 1001, 1]);
  const pushed = await open();
  await open();
  await until("the only place to be the newcomer's", () => pushed.socket.destroyed);
});
