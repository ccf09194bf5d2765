/**
 * Goal: S2, S4, X3: who may read the daemon's logs reads them from where he is, and follows them over a crash of the daemon without losing a line; each
 * part's log has its own; logrotate takes a file away unnoticed. Method: the real programs, over the socket, HTTP and hl-client.
 */
import assert from "node:assert/strict";
import { existsSync, readFileSync, renameSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { spawnProgram } from "@hl/testkit/programs.ts";
import { startSystem, TestDaemon } from "@hl/testkit/system.ts";
import { until } from "@hl/testkit/waiting.ts";
import { refused } from "./agent-world.ts";

/** Of each request, and not only of what failed. */
const everyRequest = { logging: { files: { api_requests: { level: "DEBUG" } } } };
const read = (path: string): string => (existsSync(path) ? readFileSync(path, "utf8") : "");

test("each part's log has its lines: requests, events on their way to the cloud, health", async () => {
  await using system = await startSystem({ config: { ...everyRequest, health_monitoring: { check_interval: 1 } } });
  const { daemon } = system;
  using client = await daemon.connect();
  await client.call("command/execute", { command_id: "c", command: "echo", args: ["x"] });
  const logs = join(daemon.home, "logs");
  const has = (name: string, word: string): Promise<true> =>
    until(`${word} in ${name}`, () => read(join(logs, name)).includes(word) || undefined);
  await has("api-requests.log", '"method":"command/execute"');
  await has("events.log", '"msg":"sent to the cloud"');
  await has("health.log", '"msg":"checked"');
  assert.ok(!daemon.log.includes('"msg":"request"'), "the daemon's log has its own level");
  await system.operator.call("system/ping");
  await has("api-requests.log", '"via":"cloud"');
});

test("X3: the newest lines over every way in; what is switched off and what carries no notifications is said", async () => {
  await using system = await startSystem({ config: { logging: { files: { health: { enabled: false } } } } });
  const { daemon, operator } = system;
  using client = await daemon.connect();
  const answer = await client.call("system/logs", { lines: 10_000 });
  assert.deepEqual([answer.file, answer.path, answer.omitted], ["daemon", join(daemon.home, "logs/daemon.log"), false]);
  assert.ok(answer.lines.some((line: string) => JSON.parse(line).msg === "ready"));
  const posted = await daemon.post({
    jsonrpc: "2.0",
    id: 1,
    method: "system/logs",
    params: { file: "audit", lines: 1 },
  });
  assert.equal(JSON.parse(posted.result.lines[0]).method, "system/logs");
  const followed = { jsonrpc: "2.0", id: 1, method: "system/logs", params: { follow: true } };
  assert.match((await daemon.post(followed)).error.message, /carries no notifications/);
  const off = await refused(client.call("system/logs", { file: "health" }), -32600);
  assert.match(off.message, /logging\.files\.health\.enabled is false/);
  await refused(client.call("system/logs", { file: "/etc/shadow" }), -32602);
  await refused(client.call("system/logs", { lines: 10_001 }), -32602);
  await refused(operator.call("system/logs"), 1002); // The cloud's role may not by default.
});

test("S2: hl-client logs follows over logrotate and a crash: each line once", async () => {
  await using daemon = await TestDaemon.start({ config: everyRequest });
  const path = join(daemon.home, "logs/api-requests.log");
  const args = ["--json", "logs", "--file", "api_requests", "-n", "0", "-f"];
  const following = spawnProgram("hl-client", args, { env: { HL_DAEMON_HOME: daemon.home } });
  let seen = "";
  following.stdout!.on("data", (bytes: Buffer) => (seen += bytes.toString()));
  const asked = (): string[] => seen.split("\n").filter((line) => line.includes('"method":"system/info"'));
  let sent = 0;
  const ask = async (count: number): Promise<void> => {
    using client = await daemon.connect();
    for (let n = 0; n < count; n += 1, sent += 1) await client.call("system/info");
  };
  try {
    await until("it follows", async () => {
      await ask(1);
      return asked().length > 0;
    });
    using marking = await daemon.connect();
    await marking.call("system/health");
    await until("the mark behind them", () => seen.includes('"method":"system/health"'));
    const unseen = sent - asked().length; // Of before it followed.
    await ask(20);
    await until("20 more lines", () => asked().length === sent - unseen);
    renameSync(path, `${path}.moved`); // As logrotate does.
    await until("the file is there again", async () => {
      await ask(1);
      return existsSync(path);
    });
    await until("each of their lines", () => asked().length === sent - unseen);
    await until("it is in the file", () => read(path).includes(asked().at(-1) ?? "none"));
    await daemon.kill();
    await daemon.restart();
    await ask(20);
    await until("each line of after the crash, and none twice", () => asked().length === sent - unseen);
  } finally {
    following.kill("SIGINT");
  }
  const plain = await daemon.client(["logs", "-n", "3"]);
  assert.equal(plain.code, 0);
  assert.match(String(plain.stdout), /^\S+Z INFO +ready /m);
  assert.equal((await daemon.client(["logs", "--stream", "stdout"])).code, 64);
  assert.equal((await daemon.client(["logs", "some-id", "--file", "audit"])).code, 64);
});
