/**
 * Goal: P3, A2: with the real Claude Code too, a crash of the daemon loses no conversation and no turn, and asks the model nothing twice;
 * and P1: whatever an agent has started is gone with it. Method: kill -9 of the real daemon while the stub of the model's API holds its
 * answer back. tests/system/agent-recovery.test.ts meets the points between with an agent that says what the test wants.
 */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { chmodSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { agentEnvironment } from "@hl/testkit/agent-env.ts";
import type { Message, MessageClient } from "@hl/testkit/message-client.ts";
import { defaultScript } from "@hl/testkit/model-api/default-script.ts";
import { startModelApi, type ModelApi } from "@hl/testkit/model-api/model-api.ts";
import { isRunning, noProcessOf } from "@hl/testkit/processes.ts";
import { TestDaemon } from "@hl/testkit/system.ts";
import { until } from "@hl/testkit/waiting.ts";
import { ensureAgents } from "../agents/install.ts";
import { eventsOf, turnEvents } from "./agent-world.ts";

const startMs = 90_000;

describe("agent restart", () => {
  let model: ModelApi;
  let config: Record<string, object>;

  before(async () => {
    model = await startModelApi();
    const { claude } = await ensureAgents();
    const environment = agentEnvironment(model.url);
    // The request to the model outlives the daemon, so it does not go through it.
    const settings = { start_timeout_seconds: 60, stdio_timeout: 60, key_proxy: false };
    config = {
      claude_integration: { binary_path: claude, environment, ...settings },
      event_streaming: turnEvents,
    };
  });
  after(() => model[Symbol.asyncDispose]());

  const start = (client: MessageClient, daemon: TestDaemon, more: object = {}): Promise<Message> =>
    client.call("claude/start", { workspace_path: daemon.workspace, ...more }, startMs);

  test("P3, A2: killed in the middle of a turn: its result comes, the next turn knows it, the model is asked once a turn", async () => {
    await using daemon = await TestDaemon.start({ config });
    using first = await daemon.connect();
    const { process_id, pid, session_id } = await start(first, daemon);
    const relayId = randomUUID();
    const calls = model.calls;
    const answer = Promise.withResolvers<undefined>();
    model.setScript(async (request) => {
      await answer.promise;
      return defaultScript(request);
    });
    const relay = { process_id, message: "remember the word plover", relay_id: relayId };
    first.call("claude/relay", relay, startMs).catch(() => {});
    await model.request(calls + 1);
    await daemon.kill();
    assert.ok(isRunning(pid));

    await daemon.restart();
    using second = await daemon.connect();
    const { processes } = await second.call("claude/list");
    const { status, turns } = processes[0];
    assert.deepEqual(
      [processes.length, processes[0].process_id, processes[0].pid, processes[0].session_id, status, turns],
      [1, process_id, pid, session_id, "running", 0],
    );
    const again = second.call("claude/relay", relay, startMs);
    answer.resolve(undefined);
    const { response } = await again;
    assert.deepEqual([response.text, response.is_error], ["echo: remember the word plover", false]);
    assert.equal((await second.call("claude/relay", relay, startMs)).response.text, response.text);

    const next = await second.call("claude/relay", { process_id, message: "which word?" }, startMs);
    assert.equal(next.response.text, "echo: which word?");
    assert.equal(model.calls, calls + 2, "one request a turn");
    const history = JSON.stringify((await model.request(calls + 2)).body?.messages);
    assert.match(history, /remember the word plover.*echo: remember the word plover.*which word/s);
    await until("both turns are told", () => eventsOf(daemon, "agent.turn_completed").length === 2);
    await second.call("claude/stop", { process_id });
    await noProcessOf(daemon.workspace);
  });

  test("P3, X2: killed while a tool call waits to be judged: it does not run, the model is told to try again, and the turn ends", async () => {
    await using daemon = await TestDaemon.start({ config });
    using first = await daemon.connect();
    const { process_id } = await start(first, daemon);
    const calls = model.calls;
    const relay = { process_id, message: "!bash touch made.txt", relay_id: randomUUID() };
    const held = Promise.withResolvers<undefined>();
    model.setScript(async (request) => {
      await held.promise;
      return defaultScript(request);
    });
    first.call("claude/relay", relay, startMs).catch(() => {});
    await model.request(calls + 1);
    await daemon.kill();
    held.resolve(undefined);
    const log = join(daemon.home, "data/runner", process_id, "log.000000");
    const hasCalled = (): boolean => readFileSync(log).includes("hook_callback");
    await until("the agent to call its hook while there is nobody", hasCalled, startMs);
    await daemon.restart();
    using second = await daemon.connect();
    const { response } = await second.call("claude/relay", relay, startMs);
    assert.match(response.text, /^tool error: .*(reconnected|restarted).*the .*tool/);
    assert.ok(!existsSync(join(daemon.workspace, "made.txt")));
    assert.equal(model.calls, calls + 2);
    await second.call("claude/stop", { process_id });
  });

  test("P3, P2: an agent that was killed while no daemon lived is listed as ended, and nothing of it is left", async () => {
    const claude_integration = { ...config["claude_integration"], restart_on_failure: false };
    await using daemon = await TestDaemon.start({ config: { ...config, claude_integration } });
    using first = await daemon.connect();
    const { process_id, pid } = await start(first, daemon);
    await daemon.kill();
    process.kill(pid, "SIGKILL");
    await daemon.restart();
    using second = await daemon.connect();
    const ended = await until("its end", async () => {
      const [agent] = (await second.call("claude/list")).processes;
      return agent.status === "ended" && agent;
    });
    assert.deepEqual([ended.process_id, ended.exit_code], [process_id, 137]);
    await until("the event", () => eventsOf(daemon, "process_end").length === 1);
    await noProcessOf(daemon.workspace);
  });

  test("P1: an MCP server that left its session and ignores SIGTERM is gone after claude/stop, also under the next daemon", async () => {
    await using daemon = await TestDaemon.start({ config });
    const pids = join(daemon.workspace, "pids");
    const server = join(daemon.workspace, "mcp-server");
    writeFileSync(server, mcpServer(pids));
    chmodSync(server, 0o755);
    const mcp = join(daemon.workspace, "mcp.json");
    writeFileSync(mcp, JSON.stringify({ mcpServers: { stubborn: { command: server } } }));
    for (const crash of [false, true]) {
      writeFileSync(pids, "");
      using client = await daemon.connect();
      const { process_id } = await start(client, daemon, { args: ["--mcp-config", mcp] });
      await client.call("claude/relay", { process_id, message: "hello" }, startMs);
      const started = await until("its two processes", () => {
        const lines = readFileSync(pids, "utf8").trim().split("\n");
        return lines.length >= 2 && lines.map(Number);
      });
      assert.ok(started.every(isRunning), `${started.join(", ")} run`);
      if (crash) {
        await daemon.kill();
        await daemon.restart();
      }
      using after = await daemon.connect();
      await after.call("claude/stop", { process_id });
      assert.deepEqual(started.filter(isRunning), [], "left behind");
      await noProcessOf(daemon.workspace);
    }
  });
});

/** As much of an MCP server as the agent needs to go on, and a helper of it that wants to live for ever. */
const mcpServer = (pids: string): string => String.raw`#!/bin/bash
trap '' TERM HUP INT
echo $$ >> ${pids}
setsid bash -c 'trap "" TERM HUP INT; echo $$ >> ${pids}; while :; do sleep 1000; done' < /dev/null > /dev/null 2>&1 &
while read -r line; do
  [[ "$line" =~ \"id\":([0-9]+) ]] || continue
  result='{}'
  case "$line" in *'"initialize"'*) result='${initialized}' ;; esac
  printf '{"jsonrpc":"2.0","id":%s,"result":%s}\n' "${"$"}{BASH_REMATCH[1]}" "$result"
done
while :; do sleep 1000; done
`;

const initialized = JSON.stringify({
  protocolVersion: "2025-06-18",
  capabilities: {},
  serverInfo: { name: "stubborn", version: "1" },
});
