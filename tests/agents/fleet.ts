/**
 * One real daemon that starts the real agents in all three protocols: Claude Code (stream-json), the pinned claude-agent-acp (acp) and the
 * bridge (jsonrpc), both over that Claude Code; behind them the stub of the model's API. For tests that ask the same of each.
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { randomUUID } from "node:crypto";
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { agentEnvironment } from "@hl/testkit/agent-env.ts";
import { CallFailed, type Message, type MessageClient } from "@hl/testkit/message-client.ts";
import { defaultScript } from "@hl/testkit/model-api/default-script.ts";
import type { ModelApi, ModelScript } from "@hl/testkit/model-api/model-api.ts";
import { textReply } from "@hl/testkit/model-api/model-reply.ts";
import { lastInput } from "@hl/testkit/model-api/model-request.ts";
import { repositoryRoot, temporaryFolder } from "@hl/testkit/programs.ts";
import { TestDaemon } from "@hl/testkit/system.ts";
import { until } from "@hl/testkit/waiting.ts";
import { ensureAcpAgents, ensureAgents } from "./install.ts";

export const protocols = ["stream-json", "acp", "jsonrpc"] as const;
export type Protocol = (typeof protocols)[number];

/** Machines that run tests are busy, and an agent starts slowly then. */
export const patienceMs = 90_000;

export interface FleetAgent {
  readonly protocol: Protocol;
  readonly process_id: string;
  readonly pid: number;
  readonly session_id: string;
  /** Its workspace, its own. */
  readonly folder: string;
}

export interface FleetOptions {
  /** Of `claude_integration`, over the fleet's own. */
  readonly claude?: object;
  readonly config?: Readonly<Record<string, object>>;
  /** Of the agents, over the fleet's own. */
  readonly environment?: Readonly<Record<string, string>>;
}

export class Fleet implements AsyncDisposable {
  readonly daemon: TestDaemon;
  readonly model: ModelApi;
  client: MessageClient;
  readonly #folder: Disposable;

  private constructor(daemon: TestDaemon, model: ModelApi, client: MessageClient, folder: Disposable) {
    this.daemon = daemon;
    this.model = model;
    this.client = client;
    this.#folder = folder;
  }

  static async start(
    model: ModelApi,
    { claude = {}, config = {}, environment = {} }: FleetOptions = {},
  ): Promise<Fleet> {
    const { claude: executable } = await ensureAgents();
    const { claudeAgentAcp } = await ensureAcpAgents();
    const claude_integration = {
      environment: {
        ...agentEnvironment(model.url),
        PATH: `${dirname(process.execPath)}:/usr/bin:/bin`,
        CLAUDE_CODE_EXECUTABLE: executable,
        ...environment,
      },
      config_path: repositoryRoot, // All that the agents need is below it, and readable with it.
      start_timeout_seconds: 80,
      stdio_timeout: 80,
      restart_on_failure: false,
      ...claude,
    };
    const folder = temporaryFolder("hl-fleet");
    const binary_path = join(folder.path, "agent");
    // Which program it is has no place in claude/start, a variable has.
    const script = `#!/bin/sh
case $HL_TEST_AGENT in
  stream-json) exec '${executable}' "$@" ;;
  acp) exec '${process.execPath}' '${claudeAgentAcp}' "$@" ;;
  jsonrpc) exec '${join(repositoryRoot, "bin/claude-code")}' "$@" ;;
esac
`;
    writeFileSync(binary_path, script);
    chmodSync(binary_path, 0o755);
    const settings = { ...config, claude_integration: { ...claude_integration, binary_path } };
    const daemon = await TestDaemon.start({ config: settings });
    return new Fleet(daemon, model, await daemon.connect(), folder);
  }

  async startAgent(protocol: Protocol, more: object = {}): Promise<FleetAgent> {
    const folder = join(this.daemon.workspace, protocol);
    mkdirSync(folder, { recursive: true });
    const asked = { workspace_path: folder, protocol, environment: { HL_TEST_AGENT: protocol }, ...more };
    const { process_id, pid, session_id } = await this.client.call("claude/start", asked, patienceMs);
    return { protocol, process_id, pid, session_id, folder };
  }

  /** Makes the pipe that `waitingTool` waits at, and the tool; answers the command. */
  waitingTool({ folder }: FleetAgent, name: string): string {
    writeFileSync(join(folder, waitingTool), toolScript);
    chmodSync(join(folder, waitingTool), 0o755);
    execFileSync("mkfifo", [join(folder, `${name}.pipe`)]);
    return `${waitingTool} ${name}`;
  }

  /** The pid of the tool as soon as it runs. */
  toolRunning({ folder }: FleetAgent, name: string): Promise<number> {
    const path = join(folder, `${name}.pid`);
    return until(`the tool ${name} runs`, () => existsSync(path) && Number(readFileSync(path, "utf8")));
  }

  releaseTool({ folder }: FleetAgent, name: string): Promise<void> {
    return writeFile(join(folder, `${name}.pipe`), "released");
  }

  /** One of each. */
  startAll(): Promise<FleetAgent[]> {
    return Promise.all(protocols.map((protocol) => this.startAgent(protocol)));
  }

  /** The turn's result, whatever the protocol wraps it in. */
  async relay({ process_id }: FleetAgent, message: unknown, more: object = {}): Promise<Message> {
    const asked = { process_id, message, relay_id: randomUUID(), ...more };
    const { response } = await this.client.call("claude/relay", asked, patienceMs);
    return response.result ?? response;
  }

  async listed({ process_id }: FleetAgent): Promise<Message> {
    const { processes } = await this.client.call("claude/list");
    return processes.find((one: Message) => one.process_id === process_id);
  }

  /** The n-th permission request of the agent that waits, from 1. */
  pending({ process_id }: FleetAgent): Promise<Message> {
    return until("a permission request", async () => {
      const { approvals } = await this.client.call("approval/list", { state: "pending", process_id });
      assert.ok(approvals.length <= 1, "one at a time");
      return approvals[0];
    });
  }

  async approval(approval_id: string): Promise<Message> {
    const { approvals } = await this.client.call("approval/list");
    return approvals.find((one: Message) => one.approval_id === approval_id);
  }

  decide({ approval_id }: Message, decision: "allow" | "deny", more: object = {}): Promise<Message> {
    return this.client.call("approval/decide", { approval_id, decision, ...more });
  }

  /** Resolves when a part of the agent's answer with this text has come, to whoever relays. */
  async said({ process_id }: FleetAgent, text: string): Promise<void> {
    const wanted = ({ method, params }: Message): boolean =>
      method === "claude/message" && params.process_id === process_id && JSON.stringify(params.data).includes(text);
    await this.client.next(wanted, patienceMs);
  }

  /** What was told of the agent before is not to be taken for what it says next. */
  forget({ process_id }: FleetAgent): void {
    this.client.forget(({ method, params }) => method === "claude/message" && params.process_id === process_id);
  }

  /** How often the model was given exactly this as the newest message. */
  asked(prompt: string): number {
    return this.model.requests.filter(({ body }) => body !== undefined && lastInput(body).text === prompt).length;
  }

  async stop({ process_id }: FleetAgent, more: object = {}): Promise<Message> {
    return this.client.call("claude/stop", { process_id, timeout: 20, ...more }, patienceMs);
  }

  /** The daemon comes back after it was killed. */
  async comeBack(): Promise<void> {
    await this.daemon.restart();
    this.client[Symbol.dispose]();
    this.client = await this.daemon.connect();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.client[Symbol.dispose]();
    await this.daemon[Symbol.asyncDispose]();
    this.#folder[Symbol.dispose]();
  }
}

/**
 * The stub's own script, and: `!stream …` is answered with "zeroth first second", of which all but the first word waits for `goOn`; `!two A B` with
 * two tool calls in one message, each of which makes a file.
 */
export function fleetScript(goOn: () => Promise<unknown>): ModelScript {
  return (request) => {
    const { kind, text } = lastInput(request.body);
    const [directive, first = "", second = ""] = text.split(" ");
    if (kind === "text" && directive === "!stream") {
      return textReply("zeroth first second", { deltaChars: 7, pause: { afterDeltas: 1, until: goOn() } });
    }
    if (kind === "text" && directive === "!two") {
      const touch = (name: string) =>
        ({ type: "tool_use", name: "Bash", input: { command: `touch ${name}`, description: "Make it" } }) as const;
      return { kind: "message", content: [touch(first), touch(second)] };
    }
    return defaultScript(request);
  };
}

/** A tool that says that it runs, in NAME.pid, and ends when somebody writes into NAME.pipe. */
export const waitingTool = "./tool.sh";

const toolScript = `#!/bin/sh
echo $$ > "$1.tmp" && mv "$1.tmp" "$1.pid"
cat "$1.pipe"
`;

export async function refused(call: Promise<unknown>, code: number): Promise<CallFailed["error"] & { data: Message }> {
  const outcome: unknown = await call.catch((error: unknown) => error);
  assert.ok(outcome instanceof CallFailed, `not refused: ${JSON.stringify(outcome)}`);
  assert.equal(outcome.error.code, code, outcome.message);
  return { data: {}, ...outcome.error };
}
