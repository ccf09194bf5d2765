/**
 * Goal: what users report of other daemons about what is remembered, about callers that go away and about greedy commands does not
 * happen here (docs/lessons.md). Method: the real programs; callers that are cut off, a disk that is full, trees that take all they get.
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { request as httpRequest } from "node:http";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { CallFailed, type Message, type MessageClient } from "@hl/testkit/message-client.ts";
import { descendantsOf, rssBytes } from "@hl/testkit/processes.ts";
import { startSystem, TestDaemon, type TestSystem } from "@hl/testkit/system.ts";
import { until, within } from "@hl/testkit/waiting.ts";
import { Sleepers } from "./sleepers.ts";

const process_management = {
  allowed_commands: ["sh", "true", "echo"],
  blocked_commands: ["sudo"],
  stop_grace_seconds: 1,
};
const megabyte = 1024 * 1024;

describe("lessons: state, callers and greedy commands", () => {
  let system: TestSystem;
  let daemon: TestDaemon;
  let client: MessageClient;

  const run = (command_id: string, script: string, more: object = {}): Promise<Message> =>
    client.call("command/execute", { command_id, command: "sh", args: ["-c", script], ...more });
  const exited = async (id: string): Promise<Message> =>
    (await client.next(({ method, params }) => method === "command/exited" && params.command_id === id)).params;
  const endOf = (id: string): Promise<Message> =>
    until(`the end of ${id}`, async () => {
      const status = await client.call("command/status", { command_id: id });
      return status.status === "started" ? undefined : status;
    });
  const inWorkspace = (name: string): string => join(daemon.workspace, name);

  before(async () => {
    system = await startSystem({ config: { process_management, logging: { level: "TRACE" } } });
    ({ daemon } = system);
    client = await daemon.connect();
    client.listener = ({ method }: Message) => method === "command/output";
  });

  after(async () => {
    client[Symbol.dispose]();
    await system[Symbol.asyncDispose]();
  });

  test("lesson 17: C1: a command_id that comes again attaches while it runs, is answered after, and conflicts if it means another", async () => {
    const script = "echo run >> runs; : > up; while [ ! -e go ]; do sleep 0.02; done; echo once";
    const params = { command_id: "again", command: "sh", args: ["-c", script] };
    const line = (id: string): string =>
      `${JSON.stringify({ jsonrpc: "2.0", id, method: "command/execute", params })}\n`;
    const answers = ["a", "b"].map((wanted) => client.next(({ id }) => id === wanted));
    client.raw(line("a") + line("b")); // In one write: neither has a record when the other is judged.
    await until("it to run", () => existsSync(inWorkspace("up")));
    using other = await daemon.connect();
    answers.push(other.call("command/execute", params));
    await assert.rejects(other.call("command/execute", { ...params, cwd: "/" }), isError(1106));
    writeFileSync(inWorkspace("go"), "");
    const [a, b, c] = await Promise.all(answers);
    const later = await other.call("command/execute", params);
    for (const answer of [a.result, b.result, c, later]) {
      assert.deepEqual([answer.stdout, answer.process_id], ["once\n", later.process_id]);
    }
    assert.equal(readFileSync(inWorkspace("runs"), "utf8"), "run\n");
    await assert.rejects(run("again", "echo other >> runs"), isError(1106));
    assert.equal(readFileSync(inWorkspace("runs"), "utf8"), "run\n");
  });

  test("lesson 19: P3: a command outlives whoever asked for it, and its end is recorded and told", async () => {
    const { operator, cloud } = system;
    const script = (id: string): object => ({
      command_id: id,
      command: "sh",
      args: ["-c", `: > up-${id}; while [ ! -e leave ]; do sleep 0.02; done; echo ${id}`],
    });
    const socket = await daemon.connect();
    const ws = await daemon.connectWebSocket();
    const operatorSocket = await operator.connect();
    for (const [id, caller] of [
      ["socket", socket],
      ["ws", ws],
      ["operator", operatorSocket],
    ] as const) {
      caller.call("command/execute", script(id)).catch(() => {});
    }
    const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "command/execute", params: script("http") });
    const headers = { "content-type": "application/json", authorization: `Bearer ${daemon.token}` };
    const http = httpRequest(`${daemon.url}/rpc`, { method: "POST", headers, agent: false });
    http.on("error", () => {});
    http.end(body);
    const ids = ["socket", "ws", "operator", "http"];
    await until("all to run", () => ids.every((id) => existsSync(inWorkspace(`up-${id}`))));
    for (const caller of [socket, ws, operatorSocket]) caller[Symbol.dispose]();
    http.destroy();
    await cloud.stop("SIGKILL");
    writeFileSync(inWorkspace("leave"), "");
    for (const id of ids) {
      const end = await endOf(id);
      assert.deepEqual([end.status, end.stdout], ["completed", `${id}\n`]);
    }
    await cloud.restart();
    for (const id of ids) {
      await operator.event(({ event_type, data }) => event_type === "process_end" && data.command_id === id);
    }
  });

  test("lesson 20: X4: arguments and environment of a command are in no log, no event and no title", async () => {
    const secrets = { args: "argument-c5e1f0a7", env: "environment-9d20b3f4" };
    const sleepers = new Sleepers();
    const env = { API_TOKEN: secrets.env };
    await run("secret", `: ${secrets.args}; sleep ${sleepers.seconds}`, { env, stream_output: true });
    await sleepers.areThere(1);
    const titles = descendantsOf(daemon.pid)
      .filter(({ name }) => name.startsWith("hl-runner"))
      .map(({ pid }) => readFileSync(`/proc/${pid}/cmdline`, "utf8"));
    assert.ok(titles.length >= 2);
    for (const title of titles) assert.ok(!title.includes(secrets.args), title);
    // Refusals as well: the reason is logged, what was asked for is not.
    const args = [secrets.args];
    await assert.rejects(run("secret", secrets.args, { env }), isError(1106));
    for (const [command, code] of [
      ["no-such-program", 1102],
      ["sudo", 1101],
    ] as const) {
      await assert.rejects(
        client.call("command/execute", { command_id: command, command, args, env }),
        isError(code),
        command,
      );
    }
    await assert.rejects(run("odd", "true", { env: { "A=B": secrets.env } }), isError(-32602));
    await assert.rejects(run("long", "true", { env: { A: `${secrets.env}\0` } }), isError(-32602));
    await client.call("command/cancel", { command_id: "secret" });
    await system.operator.event(({ event_type, data }) => event_type === "process_end" && data.command_id === "secret");
    const events = JSON.stringify(await system.operator.events());
    const logs = readdirSync(join(daemon.home, "logs")).map((name) => readFileSync(join(daemon.home, "logs", name)));
    assert.ok(events.includes("secret") && logs.some((log) => log.includes("command/execute")));
    for (const secret of Object.values(secrets)) {
      assert.ok(!events.includes(secret), "in an event");
      for (const log of logs) assert.ok(!log.includes(secret), "in a log");
    }
    // Its shim leaves beside everything else, and takes files along that have just been listed.
    const holding = await until("a look at every file", () =>
      readdirSync(join(daemon.home, "data"), { recursive: true, withFileTypes: true })
        .filter((file) => file.isFile())
        .filter((file) => readFileSync(join(file.parentPath, file.name)).includes(secrets.env))
        .map(({ name }) => name),
    );
    assert.deepEqual(holding, [], "the environment is stored nowhere");
  });

  test("lesson 20: P3, P4: the last line is never lost, however abrupt the end", async () => {
    const script = "seq 1 2000; echo err >&2; printf last; kill -9 $$";
    const ids = Array.from({ length: 30 }, (_, index) => `abrupt-${index}`);
    const results = await Promise.all(
      ids.map(async (id, index) => {
        if (index % 2 === 0) return run(id, script);
        await run(id, script, { stream_output: true });
        return exited(id);
      }),
    );
    for (const { stdout, stderr, signal } of results) {
      assert.deepEqual([stdout.slice(-9), stderr, signal], ["2000\nlast", "err\n", "SIGKILL"]);
    }
  });

  test("lesson 24: the daemon answers while a command forks 500 processes, and nothing is left of them", async () => {
    const sleepers = new Sleepers();
    const processes = 500;
    const storm = `i=0; while [ $i -lt ${processes} ]; do sleep ${sleepers.seconds} & i=$((i+1)); done; wait`;
    await run("storm", storm, { stream_output: true });
    const longestMs = await slowestAnswer(() => sleepers.alive().length === processes);
    assert.ok(longestMs < 5_000, `an answer took ${longestMs} ms`);
    assert.equal((await run("beside", "echo beside")).stdout, "beside\n");
    const { reason } = await client.call("command/cancel", { command_id: "storm" });
    assert.deepEqual([reason, sleepers.all()], ["cancelled", []]);
  });

  test("lesson 24: the daemon answers while a command takes 600 MB, and does not grow with it", async () => {
    const sleepers = new Sleepers();
    const before = rssBytes(daemon.pid);
    // A line without an end, which tail has to keep.
    const hog = `(head -c ${600 * megabyte} /dev/zero; sleep ${sleepers.seconds}) | tail -n 1`;
    await run("hog", hog, { stream_output: true });
    const tail = await until("tail", () => descendantsOf(daemon.pid).find(({ name }) => name === "tail"));
    const longestMs = await slowestAnswer(() => rssBytes(tail.pid) > 580 * megabyte);
    assert.ok(longestMs < 5_000, `an answer took ${longestMs} ms`);
    assert.ok(rssBytes(daemon.pid) - before < 64 * megabyte);
    const { reason } = await client.call("command/cancel", { command_id: "hog" });
    assert.deepEqual([reason, sleepers.all(), existsSync(`/proc/${tail.pid}`)], ["cancelled", [], false]);
  });

  /** Asks again and again until `done`; answers how long the slowest answer took. */
  async function slowestAnswer(done: () => boolean): Promise<number> {
    let slowest = 0;
    await until("it to have what it wants", async () => {
      const askedAt = performance.now();
      await Promise.all([client.call("system/ping"), client.call("command/list"), client.call("system/health")]);
      slowest = Math.max(slowest, performance.now() - askedAt);
      return done();
    });
    return slowest;
  }
});

test("lesson 23: P7: finished commands go after their retention, and reads are answered while they do", async () => {
  const limits = { finished_retention_seconds: 1, cleanup_interval: 1 };
  await using daemon = await TestDaemon.start({ config: { process_management: { ...process_management, ...limits } } });
  using client = await daemon.connect();
  const count = 300;
  const ids = Array.from({ length: count }, (_, index) => `old-${index}`);
  const args = ["-c", "seq 1 500; : > $TMPDIR/left"];
  for (const id of ids) await client.call("command/execute", { command_id: id, command: "sh", args });
  const state = join(daemon.home, "data/runner");
  const folders = (): number => readdirSync(state).filter((name) => !name.startsWith(".")).length;
  await until("all to be forgotten", async () => {
    const { commands } = await within("an answer", client.call("command/list", { limit: 1000 }), 5_000);
    for (const { command_id } of commands.slice(0, 5)) {
      const logs = client.call("command/logs", { command_id }).catch((error: unknown) => error);
      const seen = await within("an answer", logs, 5_000);
      if (seen instanceof CallFailed) assert.equal(seen.error.code, 1107);
    }
    return commands.length === 0 && folders() === 0;
  });
  // What has a dot is empty and waits for the next command.
  const privateFolders = readdirSync(join(daemon.home, "data/cache/tmp")).filter((name) => !name.startsWith("."));
  assert.deepEqual(privateFolders, ["home"]);
  await assert.rejects(client.call("command/status", { command_id: ids[0] }), isError(1107));
});

test(
  "lesson 12: S4, P2: on a full disk the end is told as it was, and missing output as missing",
  { skip: process.getuid?.() !== 0 && "needs root to mount a small disk" },
  async () => {
    await using daemon = await TestDaemon.start({ config: { process_management } });
    const state = join(daemon.home, "data/runner");
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=256k", "tmpfs", state]);
    try {
      await daemon.restart();
      using client = await daemon.connect();
      writeFileSync(join(state, ".room"), Buffer.alloc(128 * 1024));
      const args = ["-c", "head -c 1000000 /dev/zero; exit 5"];
      const full = await client.call("command/execute", { command_id: "full", command: "sh", args });
      assert.deepEqual([full.status, full.reason, full.exit_code], ["failed", "exited", 5]);
      assert.deepEqual([full.stdout_bytes, full.stdout_truncated], [1_000_000, true]);
      assert.throws(() => writeFileSync(join(state, ".filling"), Buffer.alloc(megabyte)), /ENOSPC/);
      const echo = { command_id: "echo", command: "echo", args: ["nowhere to keep it"] };
      const lost = await client.call("command/execute", echo);
      assert.deepEqual([lost.status, lost.exit_code], ["completed", 0]);
      assert.deepEqual([lost.stdout, lost.stdout_bytes, lost.stdout_truncated], ["", 19, true]);
      for (const name of [".filling", ".room"]) rmSync(join(state, name));
      const found = await client.call("command/execute", { ...echo, command_id: "room" });
      assert.equal(found.stdout, "nowhere to keep it\n");
      assert.equal((await client.call("system/ping")).pong, true);
    } finally {
      execFileSync("umount", ["-l", state]);
    }
  },
);

function isError(code: number): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof CallFailed, String(error));
    assert.equal(error.error.code, code, error.message);
    return true;
  };
}
