/**
 * Goal: agents that speak ACP are driven as they are: the pinned claude-agent-acp through turns, tools, approvals and an interrupt, another
 * one as far as it goes without an account. Method: the real programs under the real daemon, behind them the stub of the model's API.
 * What approvals need is shown with the engine and a real agent without the daemon, where the test itself is the human.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { existsSync, mkdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { after, before, describe, test } from "node:test";
import { systemClock } from "@hl/core/clock.ts";
import type { AgentEvent, Decision, PermissionRequest, RelayResult } from "@hl/daemon/claude/agent.ts";
import type { AgentEngine } from "@hl/daemon/claude/engine.ts";
import { acpProtocol } from "@hl/daemon/claude/rpc/acp.ts";
import { agentEnvironment } from "@hl/testkit/agent-env.ts";
import { CallFailed, type Message } from "@hl/testkit/message-client.ts";
import { startModelApi, type ModelApi } from "@hl/testkit/model-api/model-api.ts";
import type { ModelRequest } from "@hl/testkit/model-api/model-request.ts";
import { isRunning, noProcessOf } from "@hl/testkit/processes.ts";
import { repositoryRoot, temporaryFolder } from "@hl/testkit/programs.ts";
import { TestDaemon } from "@hl/testkit/system.ts";
import { until } from "@hl/testkit/waiting.ts";
import { pendingApproval, refused } from "../system/agent-world.ts";
import { ensureAcpAgents, ensureAgents, type AcpAgents } from "./install.ts";

const startMs = 90_000;

/** A piece of the stub's slow answer. */
const isTick = ({ method, params }: Message): boolean =>
  method === "claude/message" && params.type === "delta" && params.data.text.includes("tick");

describe("agents over ACP", () => {
  let model: ModelApi;
  let claude: string;
  let agents: AcpAgents;

  before(async () => {
    model = await startModelApi();
    ({ claude } = await ensureAgents());
    agents = await ensureAcpAgents();
  });
  after(() => model[Symbol.asyncDispose]());

  /** The Node that runs this test runs them; all that they need is below this repository. */
  const settings = (binary_path: string, more: object = {}): Record<string, object> => ({
    claude_integration: {
      ...{ binary_path, protocol: "auto", config_path: repositoryRoot, start_timeout_seconds: 80, stdio_timeout: 80 },
      environment: {
        ...agentEnvironment(model.url),
        PATH: `${dirname(process.execPath)}:/usr/bin:/bin`,
        CLAUDE_CODE_EXECUTABLE: claude,
      },
      ...more,
    },
  });

  test("A1, P3: claude-agent-acp: turns, a crash of the daemon in one, an interrupt, and a stop that leaves nothing", async () => {
    // The request to the model outlives the daemon, so it does not go through it.
    const config = settings(agents.claudeAgentAcp, { key_proxy: false });
    await using daemon = await TestDaemon.start({ config });
    using first = await daemon.connect();
    const started = await first.call("claude/start", { workspace_path: daemon.workspace }, startMs);
    assert.deepEqual([started.protocol, started.agent_version], ["acp", "0.101.0"]);
    const { process_id, session_id } = started;
    const relay = async (client: typeof first, message: unknown, more: object = {}): Promise<Message> =>
      (await client.call("claude/relay", { process_id, message, ...more }, startMs)).response;
    const hello = await relay(first, "hello");
    assert.deepEqual([hello.text, hello.is_error, hello.stop_reason], ["echo: hello", false, "end_turn"]);
    assert.equal((await relay(first, [{ type: "text", text: "blocks" }])).text, "echo: blocks");

    const relay_id = randomUUID();
    relay(first, "!slow 4000", { relay_id }).catch(() => {});
    await first.next(isTick);
    await daemon.kill();
    await daemon.restart();
    using second = await daemon.connect();
    const [found] = (await second.call("claude/list")).processes;
    assert.deepEqual([found.session_id, found.protocol], [session_id, "acp"]);
    const joined = await relay(second, "!slow 4000", { relay_id });
    assert.equal(joined.is_error, false);
    assert.equal((await relay(second, "!slow 4000", { relay_id })).text, joined.text, "read in the log");

    using third = await daemon.connect(); // Which is told of no earlier turn.
    const hanging = relay(third, "!slow 60000");
    await third.next(isTick);
    assert.equal((await second.call("claude/interrupt", { process_id })).interrupted, true);
    assert.deepEqual([(await hanging).is_error, (await hanging).error.kind], [true, "interrupted"]);
    assert.equal((await relay(second, "still there?")).text, "echo: still there?");

    const stopped = await second.call("claude/stop", { process_id, timeout: 20 }, startMs);
    assert.deepEqual([stopped.status, stopped.exit_code], ["stopped", 0]);
    await noProcessOf(daemon.workspace);
  });

  test("A2: claude-agent-acp killed with kill -9 in a turn: started again, its session resumed, nothing sent again", async () => {
    await using daemon = await TestDaemon.start({ config: settings(agents.claudeAgentAcp, { restart_delay: 0.1 }) });
    using client = await daemon.connect();
    const { process_id, session_id, pid } = await client.call(
      "claude/start",
      { workspace_path: daemon.workspace },
      startMs,
    );
    const relay = (message: string): Promise<Message> => client.call("claude/relay", { process_id, message }, startMs);
    // It also asks for titles, at any time and without tools; what is sent for a turn has some.
    const before = model.requests.length;
    const turns = (): ModelRequest[] =>
      model.requests.slice(before).filter(({ body }) => Array.isArray(body?.["tools"]) && body["tools"].length > 0);
    await relay("remember the word plover");
    const failed = relay("!hang").catch((error: unknown) => error);
    await until("the model is asked", () => turns().length === 2, startMs);
    process.kill(pid, "SIGKILL");
    const error = await failed;
    assert.ok(error instanceof CallFailed);
    assert.deepEqual([error.error.code, error.error.data.sent], [1204, true]);
    const again = await until(
      "it is ready again",
      async () => {
        const [agent] = (await client.call("claude/list")).processes;
        return agent.status === "idle" && agent.restarts === 1 && agent;
      },
      startMs,
    );
    assert.equal(again.session_id, session_id);
    assert.equal(turns().length, 2);
    await relay("which word?");
    assert.equal(turns().length, 3);
    assert.match(JSON.stringify(turns()[2]?.body?.messages), /remember the word plover.*which word/s);
    await client.call("claude/stop", { process_id, timeout: 20 }, startMs);
    await noProcessOf(daemon.workspace);
  });

  test("A3: it starts in a mode that asks nobody; with us it asks, and allow, deny and an interrupt hold", async () => {
    await using agent = await engineOf([agents.claudeAgentAcp]);
    const { engine, asked, decisions, folder } = agent;
    const relay = async (text: string): Promise<RelayResult> =>
      (await engine.relay(text, { relayId: randomUUID(), timeoutMs: startMs })) as RelayResult;
    decisions.push({ behavior: "allow" }, { behavior: "deny", message: "lost on the way" });
    const allowed = await relay("!bash touch made.txt");
    assert.deepEqual([allowed.is_error, asked.length], [false, 1]);
    assert.deepEqual([asked[0]?.toolName, asked[0]?.input["command"]], ["Bash", "touch made.txt"]);
    assert.ok(existsSync(join(folder, "made.txt")));
    const denied = await relay("!bash touch other.txt");
    assert.match(denied.text, /tool error/);
    assert.ok(!existsSync(join(folder, "other.txt")));
    assert.ok(agent.events.some(({ type }) => type === "agent.tool_result"));

    const cut = relay("!bash touch third.txt");
    await agent.opened(3);
    await engine.interrupt();
    assert.equal((await cut).error?.kind, "interrupted");
    assert.equal(asked[2]?.withdrawn.aborted, true);
    assert.ok(!existsSync(join(folder, "third.txt")));
  });

  test("another agent, gemini: it is spoken to as far as it goes without an account, and says what it wants", async () => {
    const config = settings(agents.gemini, { args: ["--experimental-acp"] });
    await using daemon = await TestDaemon.start({ config });
    using client = await daemon.connect();
    const starting = client.call("claude/start", { workspace_path: daemon.workspace }, startMs);
    const error = await refused(starting, 1201);
    assert.match(error.message, /refused "session\/new" \(-32000\).*Log in with Google/);
    await noProcessOf(daemon.workspace);
  });

  test("a third agent, qwen-code: a conversation with a tool, allowed and denied, an interrupt, a crash of the daemon, and the end", async () => {
    const environment = {
      ...{ ANTHROPIC_API_KEY: "test-key", ANTHROPIC_BASE_URL: model.url, ANTHROPIC_MODEL: "claude-sonnet-4-5" },
      PATH: `${dirname(process.execPath)}:/usr/bin:/bin`,
    };
    const config = settings(agents.qwen, { args: ["--acp", "--auth-type", "anthropic"], environment });
    await using daemon = await TestDaemon.start({ config });
    using first = await daemon.connect();
    const started = await first.call("claude/start", { workspace_path: daemon.workspace }, startMs);
    assert.deepEqual([started.protocol, started.agent_version], ["acp", "0.24.4"]);
    const { process_id, pid } = started;
    const relay = async (client: typeof first, message: unknown, relay_id: string = randomUUID()): Promise<Message> =>
      (await client.call("claude/relay", { process_id, message, relay_id }, startMs)).response;
    const touch = (name: string): string =>
      `!tool run_shell_command ${JSON.stringify({ command: `touch ${name}`, is_background: false })}`;
    const hello = await relay(first, "hello");
    assert.deepEqual([hello.text, hello.is_error, hello.stop_reason], ["echo: hello", false, "end_turn"]);

    const relay_id = randomUUID();
    relay(first, touch("made.txt"), relay_id).catch(() => {});
    const asked = await pendingApproval(first, process_id);
    assert.deepEqual([asked.tool_name, asked.input.command], ["run_shell_command", "touch made.txt"]);
    assert.equal(
      asked.can_remember,
      false,
      "what it offers to remember goes into the project's or the user's settings",
    );
    await daemon.kill();
    await daemon.restart();
    using second = await daemon.connect();
    const again = await pendingApproval(second, process_id);
    assert.equal(again.approval_id, asked.approval_id);
    await second.call("approval/decide", { approval_id: again.approval_id, decision: "allow" });
    assert.match((await relay(second, touch("made.txt"), relay_id)).text, /^tool result/);
    assert.ok(existsSync(join(daemon.workspace, "made.txt")));

    const denied = relay(second, touch("denied.txt"));
    const { approval_id } = await pendingApproval(second, process_id);
    await second.call("approval/decide", { approval_id, decision: "deny" });
    await denied;
    assert.ok(!existsSync(join(daemon.workspace, "denied.txt")));

    const cut = relay(second, "!slow 60000");
    await second.next(isTick);
    await second.call("claude/interrupt", { process_id });
    assert.equal((await cut).error.kind, "interrupted");
    assert.equal((await relay(second, "still there?")).text, "echo: still there?");
    const stopped = await second.call("claude/stop", { process_id, timeout: 20 }, startMs);
    assert.deepEqual([stopped.status, stopped.exit_code], ["stopped", 0]);
    assert.ok(!isRunning(pid));
    await noProcessOf(daemon.workspace);
  });

  /** A real agent joined to the engine without a daemon: its permission requests are the test's to decide. */
  async function engineOf(command: readonly string[]) {
    const place = temporaryFolder("hl-acp");
    const folder = join(place.path, "work");
    mkdirSync(folder);
    const own = { HOME: place.path, CLAUDE_CONFIG_DIR: join(place.path, "claude"), CLAUDE_CODE_TMPDIR: place.path };
    const env = { PATH: "/usr/bin:/bin", ...agentEnvironment(model.url), ...own, CLAUDE_CODE_EXECUTABLE: claude };
    const child = spawn(process.execPath, command, { cwd: folder, env, stdio: ["pipe", "pipe", "ignore"] });
    const ended = once(child, "close");
    const events: AgentEvent[] = [];
    const asked: PermissionRequest[] = [];
    const decisions: Decision[] = [];
    let onAsked = (): void => {};
    const engine: AgentEngine = acpProtocol.engine({
      write: (line) => void child.stdin.write(line),
      endInput: () => void child.stdin.end(),
      clock: systemClock,
      newId: randomUUID,
      lineBytesMax: 64 * 1024 * 1024,
      onEvent: (event) => void events.push(event),
      onPermission: (request) => {
        asked.push(request);
        onAsked();
        const decision = decisions.shift();
        return decision === undefined ? new Promise(() => {}) : Promise.resolve(decision);
      },
      session: { id: "unused", workspacePath: folder, resume: false, known: false },
    });
    child.stdout.on("data", (chunk: Buffer) => engine.receive(chunk));
    await engine.initialize(startMs);
    const opened = async (n: number): Promise<void> => {
      while (asked.length < n) await new Promise<void>((resolve) => (onAsked = resolve));
    };
    return {
      ...{ engine, events, asked, decisions, folder, opened },
      [Symbol.asyncDispose]: async () => {
        await engine.endSession(5_000).catch(() => {});
        child.kill("SIGTERM");
        await ended;
        place[Symbol.dispose]();
      },
    };
  }
});
