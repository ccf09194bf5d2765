import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdirSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { FakeDaemon } from "../testing/fake-daemon.ts";
import { healthCheckProgram, runClient } from "../testing/run-client.ts";
import { diskAlert, healthSample } from "../testing/samples.ts";
import { checkHealth } from "./check.ts";

// Goal: one line and one exit code, also when what answers is not a daemon or does not answer.
// Method: the check in this process against a real HTTP server and socket; one run of the real program.

async function check(
  args: string[],
  env: Record<string, string> = {},
): Promise<{ code: number; out: string; err: string }> {
  let out = "";
  let err = "";
  const code = await checkHealth({
    args,
    env,
    cwd: "/",
    version: "0",
    print: (text) => (out += text),
    printError: (text) => (err += text),
    deadline: (ms) => AbortSignal.timeout(ms),
  });
  return { code, out, err };
}

async function serve(t: TestContext, status: number, body: string): Promise<string> {
  const server = createServer((request, response) => {
    assert.equal(request.url, "/health");
    response.writeHead(status).end(body);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const cases: readonly [name: string, status: number, body: string, code: number, line: RegExp][] = [
  ["healthy", 200, JSON.stringify(healthSample), 0, /^healthy: up for 3725 s\n$/],
  [
    "degraded",
    200,
    JSON.stringify({ ...healthSample, status: "degraded", alerts: [diskAlert] }),
    2,
    /^degraded: The disk is nearly full\n$/,
  ],
  [
    "unhealthy",
    503,
    JSON.stringify({ status: "unhealthy", service_status: { event_streaming: "error" } }),
    1,
    /^unhealthy: event_streaming reports an error\n$/,
  ],
  [
    "an escape sequence",
    503,
    JSON.stringify({ status: "unhealthy", alerts: [{ title: "\x1b[2J\n" }] }),
    1,
    /^unhealthy: \\x1b\[2J\\n\n$/,
  ],
  ["another program", 200, "<html>", 1, /^unreachable: .*not JSON/],
  ["another JSON", 200, "[]", 1, /^unreachable: .*not a health result/],
  ["another status", 404, "{}", 1, /^unreachable: .*status 404/],
];
for (const [name, status, body, code, line] of cases) {
  test(`hl-health-check: ${name} exits ${code}`, async (t) => {
    const result = await check(["--url", await serve(t, status, body)]);
    assert.equal(result.code, code);
    assert.match(result.out, line);
  });
}

test("hl-health-check: no answer in time, nobody there, wrong usage", async (t) => {
  const server = createServer(() => {});
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => server.closeAllConnections());
  t.after(() => server.close());
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const silent = await check(["--url", url, "--timeout", "0.05", "--json"]);
  assert.equal(silent.code, 1);
  assert.match(JSON.parse(silent.out).reasons[0], /no answer within 50 ms/);
  assert.equal((await check(["--url", "http://127.0.0.1:1"])).code, 1);
  for (const args of [["--nope"], ["extra"], ["--timeout", "0"], ["--url", "x", "--socket", "y"]]) {
    assert.equal((await check(args)).code, 64);
  }
});

test("hl-health-check: finds the address that the daemon wrote down, else the configuration's", async (t) => {
  const daemon = await FakeDaemon.start();
  t.after(() => daemon[Symbol.asyncDispose]());
  const env = { HL_DAEMON_HOME: daemon.home };
  const url = await serve(t, 200, JSON.stringify(healthSample));
  mkdirSync(join(daemon.home, "config"));
  writeFileSync(
    join(daemon.home, "config/daemon.json"),
    JSON.stringify({ local_api: { http_port: Number(new URL(url).port) } }),
  );
  assert.equal((await check([], env)).code, 0);
  writeFileSync(join(daemon.home, "data/state/http_address"), "127.0.0.1:1\n");
  assert.match((await check([], env)).out, /127\.0\.0\.1:1/);
  assert.equal((await check(["--config", join(daemon.home, "config/daemon.json")], env)).code, 0);
  assert.match((await check(["--config", "/nowhere.json"], env)).out, /configuration is not valid/);
});

test("hl-health-check: through the socket, as the real program", async (t) => {
  const daemon = await FakeDaemon.start({
    "system/health": async () => ({ ...healthSample, status: "degraded", alerts: [diskAlert] }),
  });
  t.after(() => daemon[Symbol.asyncDispose]());
  const result = await runClient(["--socket", daemon.socketPath], { program: healthCheckProgram });
  assert.deepEqual(
    [result.code, result.stdout.toString(), result.stderr],
    [2, "degraded: The disk is nearly full\n", ""],
  );
});
