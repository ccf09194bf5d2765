import type { Clock } from "@hl/core/clock.ts";
import { HlError } from "@hl/protocol/errors.ts";
import type { LogCursor } from "../runner/log-cursor.ts";
import type { AgentRecords, TurnRecord } from "../store/agent-records.ts";
import type { AgentEvent } from "./agent.ts";
import { callersError } from "./agent-failure.ts";
import type { AgentEngine, AgentProtocol } from "./engine.ts";
import { recordedRelay } from "./recorded-relay.ts";

export interface RelayRequest {
  readonly message: unknown;
  readonly relayId: string;
  /** The id was made here and just now: nobody can have used it before. */
  readonly isNew?: boolean | undefined;
  readonly timeoutMs: number;
  readonly steer?: boolean | undefined;
  readonly signal: AbortSignal;
  readonly onEvent: (event: AgentEvent) => void;
}

export interface RelaysOptions {
  readonly processId: string;
  readonly engine: AgentEngine;
  readonly protocol: AgentProtocol;
  readonly sessionId: () => string;
  /** The log with a turn's output, from its beginning. */
  readonly cursor: (turn: TurnRecord) => Promise<LogCursor | undefined>;
  readonly records: AgentRecords;
  readonly clock: Clock;
  readonly lineBytesMax: number;
  /** What is told with every failure. */
  readonly facts: () => Record<string, unknown>;
}

/** The callers of one agent: who waits for which relay, and what each is told meanwhile. */
export class Relays {
  readonly #options: RelaysOptions;
  readonly #listeners = new Map<string, Set<(event: AgentEvent) => void>>();
  readonly #detached = Promise.withResolvers<never>();

  constructor(options: RelaysOptions) {
    this.#options = options;
    this.#detached.promise.catch(() => {});
  }

  /** The result of the relay's turn: of one that is run now, of the one that is in flight, or of the one that was (A2). */
  async relay({ message, relayId, isNew, timeoutMs, steer, signal, onEvent }: RelayRequest): Promise<unknown> {
    const { engine, facts, ...past } = this.#options;
    const listeners = this.#listeners.get(relayId) ?? new Set();
    this.#listeners.set(relayId, listeners.add(onEvent));
    try {
      if (isNew !== true) {
        const known = await recordedRelay({ ...past, sessionId: this.#options.sessionId(), relayId, message });
        if (known !== undefined) return known;
      }
      return await Promise.race([engine.relay(message, { relayId, timeoutMs, steer, signal }), this.#detached.promise]);
    } catch (error) {
      throw callersError(error, facts());
    } finally {
      listeners.delete(onEvent);
      if (listeners.size === 0) this.#listeners.delete(relayId);
    }
  }

  tell(event: AgentEvent): void {
    if (event.relayId === undefined) return;
    for (const listener of this.#listeners.get(event.relayId) ?? []) listener(event);
  }

  /** The daemon goes; the turn goes on without its callers. */
  detach(): void {
    const text = "the daemon is stopping and the agent's turn goes on; relay it again with its relay_id for the result";
    this.#detached.reject(new HlError("shutting_down", text, { process_id: this.#options.processId, begun: true }));
  }
}
