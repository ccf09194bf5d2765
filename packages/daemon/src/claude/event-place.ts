import type { AgentEvent } from "./agent.ts";
import type { AgentFacts } from "./agent-facts.ts";

/** Where an event was read. */
export interface EventPlace {
  /** Names the log. */
  readonly runId: string;
  /** The byte of the log behind the line that it is about. */
  readonly position: number;
  /** It was said before this daemon attached to the agent: an earlier one may have told it. */
  readonly past: boolean;
  /** Else none of the agent's words may leave the daemon (X4). */
  readonly areSecretsKnown: boolean;
}

export type OnAgentEvent = (agent: AgentFacts, event: AgentEvent, at: EventPlace) => void;
