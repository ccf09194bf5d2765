import type { Clock } from "@hl/core/clock.ts";
import { joined } from "@hl/core/joined.ts";
import { errorText, type Logger } from "@hl/core/logger.ts";
import { settledWithin } from "@hl/core/service.ts";
import { HlError } from "@hl/protocol/errors.ts";
import type { AgentUsage, ClaudeProcess } from "@hl/protocol/methods/claude-list.ts";
import type { AgentRecord } from "../store/agent-records.ts";
import { AgentFacts } from "./agent-facts.ts";
import { AgentLauncher, type LauncherOptions } from "./agent-launcher.ts";
import { forgetAgent } from "./agent-runs.ts";
import { savedCost, sumOf } from "./agent-usage.ts";
import { launchOfText, type Launch, type StartParams } from "./launch-record.ts";
import { recoverAgents } from "./recovery.ts";
import { SupervisedAgent, type SupervisionOptions } from "./supervised-agent.ts";

export interface AgentsOptions
  extends LauncherOptions, Omit<SupervisionOptions, "launcher" | "onSupervision" | "restart"> {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly enabled: boolean;
  readonly agentsMax: number;
  /** Throws where what a start and an end bring cannot be told. */
  readonly assertRoom?: (() => void) | undefined;
  /** Ended agents that are still listed, 100 by default; of older ones record and log go. */
  readonly endedKept?: number | undefined;
  /** It is not listed any more. */
  readonly onForget?: ((processId: string) => void) | undefined;
  /** Without it none is. */
  readonly restart?: SupervisionOptions["restart"] | undefined;
  readonly onSupervision?: SupervisionOptions["onSupervision"] | undefined;
}

const endedKeptDefault = 100;

const newRecord = {
  ...{ readyMs: undefined, pid: undefined, agentVersion: undefined, endedMs: undefined, exitCode: undefined },
  ...{ turns: 0, logPosition: 0, usage: {}, life: 0, attempts: 0, restartAtMs: undefined, launch: undefined },
};

const noRestart = { enabled: false, attemptsMax: 0, delayMs: 0 };

/** The table of agents. Each has a durable record before it starts, from which the table is built again after a restart (P3). */
export class Agents {
  readonly #options: AgentsOptions;
  readonly #launcher: AgentLauncher;
  readonly #agents = new Map<string, SupervisedAgent>();
  /** Starts that are not in the table yet, with the session that each goes on with. */
  readonly #starting = new Set<Readonly<{ resume: string | undefined }>>();
  #accepting = true;
  #lastFailed = false;

  constructor(options: AgentsOptions) {
    this.#options = options;
    this.#launcher = new AgentLauncher(options);
  }

  /** Whether the newest agent ended by a failure of its own. */
  get lastFailed(): boolean {
    return this.#lastFailed;
  }

  /** What is known of each that has not ended. */
  live(): AgentFacts[] {
    return this.#live().map(({ facts }) => facts);
  }

  async start(params: StartParams): Promise<SupervisedAgent> {
    const { enabled, agentsMax } = this.#options;
    if (!this.#accepting) throw new HlError("shutting_down", "the daemon is stopping and starts no agent");
    if (!enabled) throw new HlError("claude_unavailable", "claude_integration.enabled is false");
    this.#options.assertRoom?.();
    if (this.#live().length + this.#starting.size >= agentsMax) {
      throw new HlError("process_limit", `${agentsMax} agents are running, which is max_agents`, {
        max_agents: agentsMax,
      });
    }
    this.#assertFree(params.resume);
    const starting = { resume: params.resume };
    this.#starting.add(starting);
    let agent: SupervisedAgent;
    let run;
    try {
      const launched = await this.#launcher.first(params, this.#usageBefore(params.resume));
      run = launched.run;
      agent = this.#add({ ...newRecord, ...launched.record }, launched.launch);
    } finally {
      this.#starting.delete(starting);
    }
    await agent.begin(run);
    return agent;
  }

  get(processId: string): SupervisedAgent {
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
    const add = (record: AgentRecord): SupervisedAgent => this.#add(record, launchOfText(record.launch));
    await recoverAgents({ ...this.#options, add });
    this.#forgetOldest();
  }

  /** Keys of agents that an earlier life of the daemon has started; at once, unlike `recover`, so that none is refused meanwhile. */
  admitAgain(): void {
    for (const { processId, endedMs, launch } of this.#options.records.all()) {
      if (endedMs === undefined) this.#launcher.admitAgain(processId, launchOfText(launch));
    }
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

  #add(record: AgentRecord, launch: Launch | undefined): SupervisedAgent {
    const { restart = noRestart, onSupervision = () => {}, records, logger } = this.#options;
    const facts = new AgentFacts(record, records, logger);
    const more = { launcher: this.#launcher, restart, onSupervision };
    const agent = new SupervisedAgent(facts, launch, joined(this.#options, more));
    this.#agents.set(record.processId, agent);
    if (record.endedMs !== undefined) return agent;
    void agent.ended.then((expected) => {
      this.#lastFailed = !expected;
      this.#launcher.release(record.processId);
      this.#forgetOldest();
    });
    return agent;
  }

  /** What the count of a new agent begins with: one that goes on with a session tells what that has cost already. */
  #usageBefore(resume: string | undefined): AgentRecord["usage"] {
    if (resume === undefined) return {};
    const before = [...this.#agents.values()].findLast(({ facts }) => facts.sessionId === resume);
    return savedCost(before?.facts.usage.saved["cost_seen_usd"]);
  }

  /** Two processes of one session would each go on with it in their own way. */
  #assertFree(sessionId: string | undefined): void {
    if (sessionId === undefined) return;
    const owner = this.#live().find(({ facts }) => facts.sessionId === sessionId);
    if (owner === undefined && ![...this.#starting].some(({ resume }) => resume === sessionId)) return;
    const text = `the session ${JSON.stringify(sessionId)} is that of an agent that runs: relay to it, or stop it first`;
    const facts = owner === undefined ? {} : { process_id: owner.facts.processId };
    throw new HlError("claude_session_in_use", text, { session_id: sessionId, ...facts });
  }

  #live(): SupervisedAgent[] {
    return [...this.#agents.values()].filter(({ facts }) => facts.state !== "ended");
  }

  #forgetOldest(): void {
    const { runner, records, logger, endedKept = endedKeptDefault } = this.#options;
    const ended = [...this.#agents.values()].filter(({ facts }) => facts.state === "ended");
    for (const { facts } of ended.slice(0, Math.max(0, ended.length - endedKept))) {
      this.#agents.delete(facts.processId);
      this.#options.onForget?.(facts.processId);
      forgetAgent(runner, records, facts).catch((error: unknown) => {
        logger.warn({ error: errorText(error) }, "an ended agent could not be forgotten");
      });
    }
  }
}
