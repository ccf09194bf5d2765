/**
 * Goal: A2: the real Claude Code, killed in whatever state, is started again with its conversation; what was in flight is told as failed, and
 * the model is asked nothing again. Method: kill -9 of the agent under a real daemon; the stub of the model's API sees what the next turn knows.
 */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { agentEnvironment } from "@hl/testkit/agent-env.ts";
import { CallFailed, type Message, type MessageClient } from "@hl/testkit/message-client.ts";
import { startModelApi, type ModelApi } from "@hl/testkit/model-api/model-api.ts";
import { isRunning, noProcessOf } from "@hl/testkit/processes.ts";
import { TestDaemon } from "@hl/testkit/system.ts";
import { until } from "@hl/testkit/waiting.ts";
import { ensureAgents } from "../agents/install.ts";
import { eventsOf, pendingApproval } from "./agent-world.ts";

const startMs = 90_000;

interface State {
  readonly message?: string;
  readonly reached?: (daemon: TestDaemon, client: MessageClient, process_id: string) => Promise<unknown>;
}

describe("agent supervision", () => {
  let model: ModelApi;
  let claude: string;

  before(async () => {
    model = await startModelApi();
    ({ claude } = await ensureAgents());
  });
  after(() => model[Symbol.asyncDispose]());

  const start = async (more: object = {}): Promise<{ daemon: TestDaemon; client: MessageClient; agent: Message }> => {
    const timeouts = { start_timeout_seconds: 60, stdio_timeout: 60, restart_delay: 0.1 };
    const claude_integration = { binary_path: claude, environment: agentEnvironment(model.url), ...timeouts, ...more };
    const daemon = await TestDaemon.start({ config: { claude_integration } });
    const client = await daemon.connect();
    const agent = await client.call("claude/start", { workspace_path: daemon.workspace }, startMs);
    return { daemon, client, agent };
  };
  const listed = async (client: MessageClient): Promise<Message> => (await client.call("claude/list")).processes[0];
  const ready = (client: MessageClient, restarts: number): Promise<Message> =>
    until(
      "it is ready again",
      async () => {
        const agent = await listed(client);
        return agent.status === "idle" && agent.restarts === restarts && agent;
      },
      startMs,
    );

  /** How to bring the agent into a state; the relay that it takes is in flight behind it. */
  const states: Readonly<Record<string, State>> = {
    idle: {},
    streaming: { message: "!hang" },
    "permission open": {
      message: "!bash touch never.txt",
      reached: (_, client, process_id) => pendingApproval(client, process_id),
    },
    "tool running": {
      message: "!bash touch started.txt; sleep 300",
      reached: async (daemon, client, process_id) => {
        const { approval_id } = await pendingApproval(client, process_id);
        await client.call("approval/decide", { approval_id, decision: "allow" });
        await until("the tool runs", () => existsSync(join(daemon.workspace, "started.txt")));
      },
    },
  };

  for (const [state, { message, reached }] of Object.entries(states)) {
    test(`A2, P1: killed with kill -9 (${state}) it is resumed, and the conversation goes on`, async () => {
      const { daemon, client, agent } = await start();
      await using _daemon = daemon;
      using _client = client;
      const { process_id, pid, session_id } = agent;
      const relay = (text: string): Promise<Message> =>
        client.call("claude/relay", { process_id, message: text }, startMs);
      await relay("remember the word plover");
      const asked = model.request(model.calls + 1);
      const inFlight = message === undefined ? undefined : relay(message).catch((error: unknown) => error);
      if (message !== undefined) await asked;
      await reached?.(daemon, client, process_id);
      const calls = model.calls;
      process.kill(pid, "SIGKILL");

      const error = await inFlight;
      if (message !== undefined) {
        assert.ok(error instanceof CallFailed);
        assert.deepEqual([error.error.code, error.error.data.sent], [1204, true]);
      }
      const again = await ready(client, 1);
      assert.ok(!isRunning(pid));
      assert.deepEqual([again.process_id, again.session_id], [process_id, session_id]);
      assert.notEqual(again.pid, pid);
      assert.equal(model.calls, calls, "nothing was sent again by itself");
      const { approvals } = await client.call("approval/list", { process_id });
      const wanted = { "permission open": ["lost"], "tool running": ["approved"] }[state] ?? [];
      assert.deepEqual(
        approvals.map((approval: Message) => approval.state),
        wanted,
      );

      const next = model.request(calls + 1);
      const { response } = await relay("which word?");
      assert.deepEqual([response.text, response.is_error], ["echo: which word?", false]);
      const history = JSON.stringify((await next).body?.messages);
      assert.match(history, /remember the word plover.*echo: remember the word plover.*which word/s);
      assert.ok(!existsSync(join(daemon.workspace, "never.txt")));

      const [exited] = eventsOf(daemon, "agent.exited");
      const { code, signal, will_restart, reason } = exited.data;
      assert.deepEqual([code, signal, will_restart, reason], [null, 9, true, "signalled"]);
      assert.deepEqual(
        eventsOf(daemon, "agent.ready").map(({ data }) => [data.resumed, data.restarts]),
        [
          [false, 0],
          [true, 1],
        ],
      );
      await client.call("claude/stop", { process_id });
      assert.equal((await listed(client)).status, "ended");
      const told = await transcript(daemon, process_id);
      const lives = told.map(({ type }) => type).filter((type) => /^(ready|exited|ended)$/.test(type));
      assert.deepEqual(lives, ["ready", "exited", "ready", "ended"], "one transcript for all its processes");
      assert.deepEqual(
        told.map(({ seq }) => seq),
        told.map((_, index) => index + 1),
      );
      await noProcessOf(daemon.workspace);
    });
  }

  test("one that hangs (SIGSTOP) is found by its pings, shown in health, ended and resumed", async () => {
    const { daemon, client, agent } = await start({
      health_check_interval: 1,
      ping_timeout_seconds: 5,
      restart_delay: 1,
    });
    await using _daemon = daemon;
    using _client = client;
    const { process_id, pid } = agent;
    await client.call("claude/relay", { process_id, message: "remember the word plover" }, startMs);
    const asked = model.request(model.calls + 1);
    const inFlight = client
      .call("claude/relay", { process_id, message: "!hang" }, startMs)
      .catch((error: unknown) => error);
    await asked;
    process.kill(pid, "SIGSTOP");
    const health = await until("health shows it", async () => {
      const seen = await client.call("system/health");
      return seen.service_status.claude_code === "error" && seen;
    });
    assert.match(JSON.stringify(health.alerts), /agent_(stuck|restarting)/);
    assert.equal(health.status, "degraded");
    const error = await inFlight;
    assert.ok(error instanceof CallFailed);
    assert.deepEqual([error.error.code, error.error.data.sent], [1204, true]);
    await ready(client, 1);
    assert.ok(!isRunning(pid));
    const next = model.request(model.calls + 1);
    await client.call("claude/relay", { process_id, message: "which word?" }, startMs);
    assert.match(JSON.stringify((await next).body?.messages), /remember the word plover.*which word/s);
    assert.equal(eventsOf(daemon, "agent.stuck").length, 1);
    assert.equal(eventsOf(daemon, "agent.exited")[0].data.reason, "stuck");
    const well = await client.call("system/health");
    assert.deepEqual([well.service_status.claude_code, well.status], ["running", "healthy"]);
    await client.call("claude/stop", { process_id });
    await noProcessOf(daemon.workspace);
  });

  test("A2, P3: one that is killed while no daemon lives is resumed by the next", async () => {
    const { daemon, client, agent } = await start();
    await using _daemon = daemon;
    const { process_id, pid, session_id } = agent;
    await client.call("claude/relay", { process_id, message: "remember the word plover" }, startMs);
    client[Symbol.dispose]();
    await daemon.kill();
    process.kill(pid, "SIGKILL");
    await daemon.restart();
    using second = await daemon.connect();
    const again = await ready(second, 1);
    assert.deepEqual([again.process_id, again.session_id], [process_id, session_id]);
    const next = model.request(model.calls + 1);
    await second.call("claude/relay", { process_id, message: "which word?" }, startMs);
    const history = JSON.stringify((await next).body?.messages);
    assert.match(history, /remember the word plover.*which word/s);
    await second.call("claude/stop", { process_id });
    await noProcessOf(daemon.workspace);
  });
});

/** All that was kept of an agent that has ended. */
async function transcript(daemon: TestDaemon, process_id: string): Promise<Message[]> {
  using reader = await daemon.connect();
  const told: Message[] = [];
  reader.listener = ({ method, params }) => {
    if (method === "claude/event") told.push(params);
    return method === "claude/event";
  };
  await reader.call("claude/subscribe", { process_id, from_seq: 1 });
  await until("its end", () => told.some(({ type }) => type === "ended"));
  return told;
}
