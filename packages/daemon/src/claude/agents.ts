import { randomUUID } from "node:crypto";
import type { Clock } from "@hl/core/clock.ts";
import { errorText, type Logger } from "@hl/core/logger.ts";
import { settledWithin } from "@hl/core/service.ts";
import { HlError } from "@hl/protocol/errors.ts";
import type { ParamsOf } from "@hl/protocol/method.ts";
import type { ClaudeProcess } from "@hl/protocol/methods/claude-list.ts";
import type { claudeStart } from "@hl/protocol/methods/claude-start.ts";
import { StartFailed, type SandboxRules } from "../runner/records.ts";
import type { Runner } from "../runner/runner.ts";
import type { AgentEvent } from "./agent.ts";
import { AgentProcess } from "./agent-process.ts";
import { findAgentBinary, streamJsonArguments } from "./launch.ts";

export type StartParams = ParamsOf<typeof claudeStart>;

/** What an agent shares with commands: paths, environment and sandbox. compose.ts passes the planner of commands. */
export interface AgentHost {
  readonly temporaryRoot: string;
  directory(wanted: string): string;
  environment(temporary: string, own: Readonly<Record<string, string>>): Record<string, string>;
  sandbox(temporary: string, home: string | undefined, extraRead: readonly string[]): SandboxRules | undefined;
  makeFolders(temporary: string, home: string | undefined): void;
  removeFolder(temporary: string): void;
}

export interface AgentsOptions {
  readonly runner: Runner;
  readonly host: AgentHost;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly enabled: boolean;
  readonly binaryPath: string;
  readonly configPath: string;
  readonly protocol: "auto" | "jsonrpc" | "stream-json" | "acp";
  readonly args: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  readonly startTimeoutMs: number;
  readonly agentsMax: number;
  readonly turnsWaitingMax: number;
  readonly lineBytesMax: number;
  readonly openFilesMax: number;
  readonly logBytesMax: number;
  readonly onEvent: (agent: AgentProcess, event: AgentEvent) => void;
  readonly onStart: (agent: AgentProcess) => void;
  readonly onEnd: (agent: AgentProcess) => void;
}

/** Tells the runs of agents from those of commands. */
const agentIdPrefix = "agent_";
/** One agent that cannot be ended does not keep the daemon from starting. */
const recoverMsMax = 5_000;
/** Ended agents that are still listed. */
const endedKept = 100;

/** The table of agents. */
export class Agents {
  readonly #options: AgentsOptions;
  readonly #agents = new Map<string, AgentProcess>();
  #accepting = true;
  #lastFailed = false;

  constructor(options: AgentsOptions) {
    this.#options = options;
  }

  /** Whether the newest agent ended by a failure of its own. */
  get lastFailed(): boolean {
    return this.#lastFailed;
  }

  async start(params: StartParams): Promise<AgentProcess> {
    const { enabled, agentsMax, host, configPath, runner } = this.#options;
    if (!this.#accepting) throw new HlError("shutting_down", "the daemon is stopping and starts no agent");
    if (!enabled) throw new HlError("claude_unavailable", "claude_integration.enabled is false");
    if (this.#running() >= agentsMax) {
      throw new HlError("process_limit", `${agentsMax} agents are running, which is max_agents`, {
        max_agents: agentsMax,
      });
    }
    this.#checkProtocol(params.protocol);
    const cwd = host.directory(params.workspace_path);
    const processId = `${agentIdPrefix}${randomUUID()}`;
    const temporary = `${host.temporaryRoot}/${processId}`;
    const environment = host.environment(temporary, {
      CLAUDE_CODE_EMIT_SESSION_STATE_EVENTS: "1",
      CLAUDE_CODE_TMPDIR: temporary,
      DISABLE_AUTOUPDATER: "1",
      ...this.#options.environment,
      ...params.environment,
      HL_PROCESS_ID: processId,
    });
    const binary = findAgentBinary(this.#options.binaryPath, environment["PATH"] ?? "");
    const sessionId = params.resume ?? randomUUID();
    const sandbox = host.sandbox(temporary, environment["HOME"], [...binary.folders, configPath]);
    host.makeFolders(temporary, environment["HOME"]);
    const request = {
      id: processId,
      argv: [binary.path, ...streamJsonArguments(params, sessionId), ...this.#options.args, ...(params.args ?? [])],
      env: environment,
      cwd,
      stdin: "pipe" as const,
      graceMs: 5_000,
      openFilesMax: this.#options.openFilesMax,
      logBytesMax: this.#options.logBytesMax,
      sandbox,
    };
    const run = await runner.start(request).catch((error: unknown) => {
      host.removeFolder(temporary);
      throw startFailure(error, binary.path);
    });
    const agent = new AgentProcess({ ...this.#options, processId, run, sessionId, workspacePath: cwd });
    this.#agents.set(processId, agent);
    void agent.ended.then((expected) => {
      this.#lastFailed = !expected;
      host.removeFolder(temporary);
      this.#forgetOldest();
      this.#options.onEnd(agent);
    });
    await agent.ready(this.#options.startTimeoutMs);
    this.#options.onStart(agent);
    return agent;
  }

  get(processId: string): AgentProcess {
    const agent = this.#agents.get(processId);
    if (agent === undefined) {
      throw new HlError("claude_process_unknown", `there is no agent ${JSON.stringify(processId)}`, {
        process_id: processId,
      });
    }
    return agent;
  }

  list(): ClaudeProcess[] {
    return [...this.#agents.values()].map((agent) => agent.describe());
  }

  /**
   * After a crash of the daemon: ends the agents that its shims still hold, with their whole trees (P1). Nothing of them is
   * taken up in this version; a caller resumes the conversation with claude/start {resume} (A2).
   */
  async recover(): Promise<void> {
    const { runner, host, clock, logger } = this.#options;
    for (const id of (await runner.list()).filter((name) => name.startsWith(agentIdPrefix))) {
      const run = await runner.find(id);
      if (run === undefined) continue;
      logger.warn({ process_id: id, pid: run.pid }, "an agent outlived its daemon: it is ended");
      run.stop("daemon_lost", 0);
      await settledWithin(clock, recoverMsMax, Promise.all([run.ended, run.empty]));
      run.release();
      host.removeFolder(`${host.temporaryRoot}/${id}`);
      await run.forget();
    }
  }

  /** Ends every agent: a conversation without its daemon would go on unsupervised. */
  async drain(): Promise<void> {
    this.#accepting = false;
    const running = [...this.#agents.values()].filter((agent) => agent.state !== "ended");
    const stopped = Promise.allSettled(running.map((agent) => agent.stop({ force: false, timeoutMs: 3_000 })));
    await settledWithin(this.#options.clock, 15_000, stopped);
  }

  #running(): number {
    return [...this.#agents.values()].filter((agent) => agent.state !== "ended").length;
  }

  #checkProtocol(asked: StartParams["protocol"]): void {
    const protocol = asked ?? this.#options.protocol;
    if (protocol === "auto" || protocol === "stream-json") return;
    const text = `the protocol "${protocol}" is not in this version; use "stream-json" or "auto"`;
    throw new HlError("claude_unavailable", text, { protocol });
  }

  #forgetOldest(): void {
    const ended = [...this.#agents.values()].filter((agent) => agent.state === "ended");
    for (const agent of ended.slice(0, Math.max(0, ended.length - endedKept))) {
      this.#agents.delete(agent.processId);
      agent.forget().catch((error: unknown) => {
        this.#options.logger.warn({ error: errorText(error) }, "the log of an ended agent could not be removed");
      });
    }
  }
}

function startFailure(error: unknown, binaryPath: string): unknown {
  if (error instanceof HlError) return error;
  if (error instanceof StartFailed && error.stage === "sandbox") {
    return new HlError("sandbox_unavailable", `the sandbox cannot be enforced: ${error.message}`, {
      reason: error.message,
    });
  }
  if (error instanceof StartFailed) {
    const text = `the agent ${binaryPath} could not be started (${error.stage}): ${error.message}`;
    return new HlError("claude_unavailable", text, { stage: error.stage, errno: error.errno });
  }
  return new HlError("runner_unavailable", `hl-runner cannot be reached: ${errorText(error)}`, {}, { cause: error });
}
