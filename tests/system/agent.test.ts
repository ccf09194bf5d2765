/**
 * Goal: an agent's message is answered or fails with its reason, and of an agent that ends, in whatever way, nothing is left. Method: the
 * real Claude Code under the real daemon, the model behind it a stub that says and withholds what each test needs.
 */
import assert from "node:assert/strict";
import { chmodSync, existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, beforeEach, describe, test } from "node:test";
import { agentEnvironment } from "@hl/testkit/agent-env.ts";
import { CallFailed, type Message, type MessageClient } from "@hl/testkit/message-client.ts";
import { startModelApi, type ModelApi } from "@hl/testkit/model-api/model-api.ts";
import { isRunning, noProcessOf, processesOf } from "@hl/testkit/processes.ts";
import { TestDaemon } from "@hl/testkit/system.ts";
import { ensureAgents } from "../agents/install.ts";
import { pendingApproval } from "./agent-world.ts";

const startMs = 90_000;

describe("agent", () => {
  let model: ModelApi;
  let config: Record<string, object>;
  let daemon: TestDaemon;
  let client: MessageClient;
  let agents = 0;

  before(async () => {
    model = await startModelApi();
    const { claude } = await ensureAgents();
    const environment = agentEnvironment(model.url);
    const timeouts = { start_timeout_seconds: 60, stdio_timeout: 60 };
    // Restarts have tests of their own (agent-supervision.test.ts).
    const restart_on_failure = false;
    config = { claude_integration: { binary_path: claude, environment, restart_on_failure, ...timeouts } };
    daemon = await TestDaemon.start({ config });
  });
  beforeEach(async () => {
    client?.[Symbol.dispose]();
    client = await daemon.connect();
  });
  after(async () => {
    client[Symbol.dispose]();
    await daemon[Symbol.asyncDispose]();
    await model[Symbol.asyncDispose]();
  });

  /** In a folder of its own, by which its processes are found. */
  const start = async (): Promise<{ process_id: string; pid: number; workspace: string }> => {
    const workspace = join(daemon.workspace, `agent-${++agents}`);
    mkdirSync(workspace);
    const started = await client.call("claude/start", { workspace_path: workspace }, startMs);
    assert.deepEqual([started.status, started.stdio_ready, started.protocol], ["started", true, "stream-json"]);
    return { ...started, workspace };
  };
  const relay = async (process_id: string, message: unknown, more: object = {}): Promise<Message> =>
    (await client.call("claude/relay", { process_id, message, ...more }, startMs)).response;

  test("A1: start, relay, stop: the turn is answered, its parts come before it, and nothing is left", async () => {
    const { process_id, pid, workspace } = await start();
    const answer = await relay(process_id, "hello");
    assert.deepEqual([answer.text, answer.is_error], ["echo: hello", false]);
    await client.next(({ method, params }) => method === "claude/message" && params.type === "delta");
    const user = { type: "user", message: { role: "user", content: "again" } };
    assert.equal((await relay(process_id, user)).text, "echo: again");
    assert.deepEqual((await client.call("claude/list")).processes.at(-1).turns, 2);

    const stopped = await client.call("claude/stop", { process_id, timeout: 30 }, startMs);
    assert.deepEqual([stopped.status, stopped.exit_code], ["stopped", 0]);
    assert.ok(!isRunning(pid));
    await noProcessOf(workspace);
    // Stopped again it answers its recorded end.
    assert.equal((await client.call("claude/stop", { process_id })).exit_code, 0);
  });

  test("A3: a tool that needs permission waits for a person; denied, it does not run, and the turn ends", async () => {
    const { process_id, workspace } = await start();
    const answering = relay(process_id, "!bash touch made.txt");
    const { approval_id } = await pendingApproval(client, process_id);
    await client.call("approval/decide", { approval_id, decision: "deny", reason: "Nobody wants this." });
    const answer = await answering;
    assert.match(answer.text, /^tool error: Nobody wants this/);
    assert.equal(answer.permission_denials.length, 1);
    assert.ok(!existsSync(join(workspace, "made.txt")));
    assert.equal((await relay(process_id, "next")).text, "echo: next");
    await client.call("claude/stop", { process_id });
  });

  test("A1: a relay that is not answered in time is 1203, and the next one works", async () => {
    const { process_id } = await start();
    await relay(process_id, "warm up");
    await refused(client.call("claude/relay", { process_id, message: "!hang", timeout: 2 }, startMs), 1203);
    assert.equal((await relay(process_id, "next")).text, "echo: next");
    await client.call("claude/stop", { process_id });
  });

  test("P1, A1: an agent that is killed in a turn: the relay is 1204 and no process of it is left", async () => {
    const { process_id, pid, workspace } = await start();
    const calls = model.calls;
    const answer = refused(client.call("claude/relay", { process_id, message: "!hang" }, startMs), 1204);
    await model.request(calls + 1);
    process.kill(pid, "SIGKILL");
    const error = await answer;
    assert.ok("exit_code" in error.data && "stderr_tail" in error.data, JSON.stringify(error.data));
    await noProcessOf(workspace);
    const { processes } = await client.call("claude/list");
    assert.equal(processes.find((one: Message) => one.process_id === process_id).status, "ended");
    await refused(client.call("claude/relay", { process_id, message: "x" }), 1204);
  });

  test("a wrong process_id is 1202 and a message of a wrong shape -32602, and the agent goes on", async () => {
    for (const method of ["claude/relay", "claude/stop", "claude/interrupt"]) {
      const error = await refused(client.call(method, { process_id: "agent_nobody", message: "x" }), 1202);
      assert.match(error.message, /agent_nobody/);
    }
    const { process_id } = await start();
    for (const message of [
      {},
      [],
      7,
      null,
      "",
      { type: "user" },
      { type: "control_request" },
      { jsonrpc: "2.0", method: "x" },
    ]) {
      const error = await refused(client.call("claude/relay", { process_id, message }), -32602);
      assert.match(error.message, /message/);
    }
    assert.equal((await relay(process_id, "fine")).text, "echo: fine");
    await client.call("claude/stop", { process_id });
  });

  test("P1: claude/stop in the middle of a turn, in order and by force, leaves nothing", async () => {
    for (const force of [false, true]) {
      const { process_id, workspace } = await start();
      const calls = model.calls;
      const turn = client.call("claude/relay", { process_id, message: "!hang" }, startMs).then(
        (result: Message) => result.response.is_error as boolean,
        (error: unknown) => error instanceof CallFailed && error.error.code === 1204,
      );
      await model.request(calls + 1);
      const stopped = await client.call("claude/stop", { process_id, force, timeout: 10 });
      assert.ok(force ? stopped.status === "terminated" : true);
      assert.equal(await turn, true, "the turn that was cut is reported as failed");
      await noProcessOf(workspace);
    }
  });

  test("an agent that cannot be started is 1201 with the reason", async () => {
    const script = join(daemon.home, "broken-agent");
    writeFileSync(script, "#!/bin/sh\necho 'no licence found' >&2\nexit 3\n");
    chmodSync(script, 0o755);
    const cases: [binary: string, wanted: RegExp][] = [
      [join(daemon.home, "nothing-here"), /nothing-here.*does not exist/],
      [daemon.workspace, /is not a file/],
      [join(daemon.home, "config/daemon.json"), /is not executable/],
      [script, /failed to start/],
    ];
    for (const [binary_path, wanted] of cases) {
      await using other = await TestDaemon.start({ config: { claude_integration: { binary_path } } });
      using caller = await other.connect();
      const error = await refused(caller.call("claude/start", { workspace_path: other.workspace }), 1201);
      assert.match(error.message, wanted);
      if (binary_path === script) assert.match(JSON.stringify(error.data), /no licence found/);
      assert.equal((await caller.call("system/health")).agents.running, 0);
    }
  });

  test("P1: the daemon's stop ends its agents, also one in a turn", async () => {
    await using other = await TestDaemon.start({ config });
    using caller = await other.connect();
    const { process_id, pid } = await caller.call("claude/start", { workspace_path: other.workspace }, startMs);
    const calls = model.calls;
    caller.call("claude/relay", { process_id, message: "!hang" }, startMs).catch(() => {});
    await model.request(calls + 1);
    assert.ok(processesOf(other.home).some((one) => one.pid === pid));
    assert.equal(await other.program.stop(), 0);
    await noProcessOf(other.home);
  });
});

async function refused(call: Promise<unknown>, code: number): Promise<CallFailed["error"] & { data: Message }> {
  const outcome: unknown = await call.catch((error: unknown) => error);
  assert.ok(outcome instanceof CallFailed, `not refused: ${JSON.stringify(outcome)}`);
  assert.equal(outcome.error.code, code, outcome.message);
  return { data: {}, ...outcome.error };
}
