import type { Clock } from "@hl/core/clock.ts";
import type { LogCursor } from "../runner/log-cursor.ts";
import type { Runner } from "../runner/runner.ts";
import type { AgentRecords } from "../store/agent-records.ts";
import { AgentFailure } from "./agent.ts";
import type { AgentFacts } from "./agent-facts.ts";
import { callersError } from "./agent-failure.ts";
import { protocolOf } from "./protocols.ts";
import { recordedRelay } from "./recorded-relay.ts";
import type { RelayRequest } from "./relays.ts";

export interface EndedAgentOptions {
  readonly facts: AgentFacts;
  readonly records: AgentRecords;
  readonly runner: Runner;
  readonly clock: Clock;
  readonly lineBytesMax: number;
}

/** An agent whose end was recorded by an earlier life of the daemon: there is no process any more, but its record and its log are. */
export class EndedAgent {
  readonly facts: AgentFacts;
  readonly ended = Promise.resolve(true);
  readonly work = { relayId: undefined, waiting: 0 };
  readonly #options: EndedAgentOptions;

  constructor(options: EndedAgentOptions) {
    this.facts = options.facts;
    this.#options = options;
  }

  /** The result that the relay id had, or why there is none. */
  async relay({ message, relayId }: RelayRequest): Promise<unknown> {
    const { records, runner, clock, lineBytesMax } = this.#options;
    const { processId } = this.facts;
    const cursor = async (from: number): Promise<LogCursor | undefined> => (await runner.find(processId))?.cursor(from);
    try {
      const protocol = protocolOf(this.facts.protocol);
      const past = { records, processId, protocol, sessionId: this.facts.sessionId };
      const known = await recordedRelay({ ...past, relayId, message, cursor, clock, lineBytesMax });
      if (known !== undefined) return known;
      throw this.#gone();
    } catch (error) {
      throw callersError(error, { process_id: processId, exit_code: this.facts.exitCode });
    }
  }

  async interrupt(): Promise<boolean> {
    throw callersError(this.#gone(), { process_id: this.facts.processId, exit_code: this.facts.exitCode });
  }

  stop(): Promise<boolean> {
    return Promise.resolve(false);
  }

  detach(): void {}

  forget(): Promise<void> {
    return this.#options.runner.remove(this.facts.processId);
  }

  #gone(): AgentFailure {
    const text = `The agent ended with exit code ${this.facts.exitCode ?? "unknown"}.`;
    return new AgentFailure("exited", text, { sent: false });
  }
}
