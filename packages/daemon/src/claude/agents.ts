import { randomUUID } from "node:crypto";
import type { Clock } from "@hl/core/clock.ts";
import { errorText, type Logger } from "@hl/core/logger.ts";
import { settledWithin } from "@hl/core/service.ts";
import { HlError } from "@hl/protocol/errors.ts";
import type { ParamsOf } from "@hl/protocol/method.ts";
import type { AgentUsage, ClaudeProcess } from "@hl/protocol/methods/claude-list.ts";
import type { claudeStart } from "@hl/protocol/methods/claude-start.ts";
import type { StartRequest } from "../runner/records.ts";
import type { Run } from "../runner/run.ts";
import type { Runner } from "../runner/runner.ts";
import type { SecretHolder } from "../runner/secret-holder.ts";
import type { AgentRecord, AgentRecords } from "../store/agent-records.ts";
import type { AgentInfo } from "./agent.ts";
import type { AgentFacts } from "./agent-facts.ts";
import { sumOf } from "./agent-usage.ts";
import { AgentProcess, type AgentProcessOptions, type OnAgentEvent } from "./agent-process.ts";
import type { EndedAgent } from "./ended-agent.ts";
import { findAgentBinary, protocolArguments, startFailure } from "./launch.ts";
import { probeMsMax, ProtocolProbe } from "./probe.ts";
import { agentIdPrefix, recoverAgents } from "./recovery.ts";
import type { ToolJudge } from "./tool-judge.ts";

export type StartParams = ParamsOf<typeof claudeStart>;

/** What an agent shares with commands: paths, environment and sandbox. compose.ts passes the planner of commands. */
export interface AgentHost {
  readonly temporaryRoot: string;
  directory(wanted: string): string;
  environment(temporary: string, own: Readonly<Record<string, string>>): Record<string, string>;
  /** What holds it in; throws where that cannot be enforced (X2). */
  confinement(
    temporary: string,
    home: string | undefined,
    extraRead: readonly string[],
  ): Pick<StartRequest, "sandbox" | "network" | "proxySocket" | "allowNamespaces">;
  makeFolders(temporary: string, home: string | undefined): void;
  removeFolder(temporary: string): void;
}

export interface AgentsOptions {
  readonly runner: Runner;
  readonly records: AgentRecords;
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
  /** Throws where what a start and an end bring cannot be told. */
  readonly assertRoom?: (() => void) | undefined;
  /** Keeps what is secret in an agent's environment, its API key first, out of events, as long as it lives (X4). */
  readonly secrets?: SecretHolder | undefined;
  readonly turnsWaitingMax: number;
  readonly lineBytesMax: number;
  readonly openFilesMax: number;
  readonly logBytesMax: number;
  /** Ended agents that are still listed, 100 by default; of older ones record and log go. */
  readonly endedKept?: number | undefined;
  readonly judge?: ToolJudge | undefined;
  readonly onEvent: OnAgentEvent;
  readonly onStart: (agent: AgentFacts) => void;
  readonly onEnd: (agent: AgentFacts) => void;
  /** It is not listed any more. */
  readonly onForget?: ((processId: string) => void) | undefined;
}

const endedKeptDefault = 100;

const newRecord = {
  ...{ readyMs: undefined, pid: undefined, agentVersion: undefined, endedMs: undefined, exitCode: undefined },
  ...{ turns: 0, logPosition: 0, usage: {} },
};

/** The table of agents. Each has a durable record before it starts, from which the table is built again after a restart (P3). */
export class Agents {
  readonly #options: AgentsOptions;
  readonly #probe: ProtocolProbe;
  readonly #agents = new Map<string, AgentProcess | EndedAgent>();
  #accepting = true;
  #lastFailed = false;

  constructor(options: AgentsOptions) {
    this.#options = options;
    this.#probe = new ProtocolProbe(options.runner);
  }

  /** Whether the newest agent ended by a failure of its own. */
  get lastFailed(): boolean {
    return this.#lastFailed;
  }

  async start(params: StartParams): Promise<AgentProcess> {
    const { enabled, agentsMax, host, configPath, runner, records, clock } = this.#options;
    if (!this.#accepting) throw new HlError("shutting_down", "the daemon is stopping and starts no agent");
    if (!enabled) throw new HlError("claude_unavailable", "claude_integration.enabled is false");
    this.#options.assertRoom?.();
    if (this.#live().length >= agentsMax) {
      throw new HlError("process_limit", `${agentsMax} agents are running, which is max_agents`, {
        max_agents: agentsMax,
      });
    }
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
    const confinement = host.confinement(temporary, environment["HOME"], [...binary.folders, configPath]);
    host.makeFolders(temporary, environment["HOME"]);
    this.#options.secrets?.hold(processId, environment);
    const own = [...this.#options.args, ...(params.args ?? [])];
    const common = {
      env: environment,
      cwd,
      graceMs: 5_000,
      openFilesMax: this.#options.openFilesMax,
      logBytesMax: this.#options.logBytesMax,
      ...confinement,
    };
    const sessionId = params.resume ?? randomUUID();
    const { protocol, args } = await this.#launchOf(params, sessionId, binary.path, own, common).catch(
      (error: unknown) => {
        this.#options.secrets?.release(processId);
        host.removeFolder(temporary);
        throw startFailure(error, binary.path);
      },
    );
    const argv = [binary.path, ...args, ...own];
    const request = { ...common, id: processId, argv, stdin: "pipe" as const };
    const record = { processId, sessionId, workspacePath: cwd, protocol, startedMs: clock.wallMs() };
    await records.begin(record).catch((error: unknown) => {
      this.#options.secrets?.release(processId);
      throw error;
    });
    const run = await runner.start(request).catch(async (error: unknown) => {
      this.#options.secrets?.release(processId);
      host.removeFolder(temporary);
      await records.forget(processId);
      throw startFailure(error, binary.path);
    });
    const asked = { resume: params.resume !== undefined, mode: params.config_overrides?.permission_mode };
    const agent = this.#processOf({ ...newRecord, ...record }, run, asked);
    await agent.begin(this.#options.startTimeoutMs);
    return agent;
  }

  get(processId: string): AgentProcess | EndedAgent {
    const agent = this.#agents.get(processId);
    if (agent === undefined) {
      throw new HlError("claude_process_unknown", `there is no agent ${JSON.stringify(processId)}`, {
        process_id: processId,
      });
    }
    return agent;
  }

  list(): ClaudeProcess[] {
    return [...this.#agents.values()].map(({ facts }) => facts.describe());
  }

  /** What all agents of this machine have used, also those that are not listed any more and those of daemons before. */
  usage(): AgentUsage {
    const listed = [...this.#agents.values()].map(({ facts }) => facts.usage.total);
    return sumOf([...listed, this.#options.records.forgottenUsage]);
  }

  /** After a restart: attaches to the agents that their shims hold, and takes up the ends that nobody saw (P3). */
  async recover(): Promise<void> {
    const add = (agent: EndedAgent): void => void this.#agents.set(agent.facts.processId, agent);
    await recoverAgents({ ...this.#options, processOf: (record, run) => this.#processOf(record, run), add });
    this.#forgetOldest();
  }

  /** Refuses new agents; with `stopAll` ends the running ones, else leaves them to their shims for the next daemon. */
  async drain(stopAll: boolean): Promise<void> {
    this.#accepting = false;
    if (stopAll) await this.stopAll();
    else for (const agent of this.#live()) agent.detach();
  }

  /** Ends the running ones in order (P1). */
  async stopAll(): Promise<void> {
    const stops = this.#live().map((agent) => agent.stop({ force: false, timeoutMs: 3_000 }));
    await settledWithin(this.#options.clock, 15_000, Promise.allSettled(stops));
  }

  #processOf(record: AgentRecord, run: Run, asked?: AgentProcessOptions["asked"]): AgentProcess {
    const agent = new AgentProcess({ ...this.#options, record, run, asked });
    const { host, secrets } = this.#options;
    if (asked === undefined && run.end === undefined) secrets?.holdRunning(record.processId, run.pid);
    this.#agents.set(record.processId, agent);
    void agent.ended.then((expected) => {
      this.#lastFailed = !expected;
      this.#options.secrets?.release(record.processId);
      host.removeFolder(`${host.temporaryRoot}/${record.processId}`);
      this.#forgetOldest();
    });
    return agent;
  }

  #live(): (AgentProcess | EndedAgent)[] {
    return [...this.#agents.values()].filter(({ facts }) => facts.state !== "ended");
  }

  async #launchOf(
    params: StartParams,
    sessionId: string,
    path: string,
    own: readonly string[],
    common: Omit<StartRequest, "id" | "argv" | "stdin">,
  ): Promise<{ protocol: AgentInfo["protocol"]; args: readonly string[] }> {
    const { binaryPath: configured } = this.#options;
    const asked = params.protocol ?? this.#options.protocol;
    const start = (args: readonly string[]): StartRequest => ({
      ...common,
      ...{ id: `${agentIdPrefix}probe_${randomUUID()}`, argv: [path, ...args], stdin: "null", timeoutMs: probeMsMax },
    });
    const protocol = asked === "auto" ? await this.#probe.protocolOf({ configured, path, args: own, start }) : asked;
    return { protocol, args: protocolArguments(protocol, params, sessionId) };
  }

  #forgetOldest(): void {
    const { records, logger, endedKept = endedKeptDefault } = this.#options;
    const ended = [...this.#agents.values()].filter(({ facts }) => facts.state === "ended");
    for (const agent of ended.slice(0, Math.max(0, ended.length - endedKept))) {
      const { processId } = agent.facts;
      this.#agents.delete(processId);
      this.#options.onForget?.(processId);
      Promise.all([agent.forget(), records.forget(processId)]).catch((error: unknown) => {
        logger.warn({ error: errorText(error) }, "an ended agent could not be forgotten");
      });
    }
  }
}
