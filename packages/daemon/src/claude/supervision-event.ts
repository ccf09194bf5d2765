import type { EndReason } from "../runner/records.ts";
import type { AgentFacts } from "./agent-facts.ts";

/** What becomes of an agent that has ended. */
export interface RestartPlan {
  readonly will_restart: boolean;
  readonly restart_in_ms?: number | undefined;
  /** In a row. */
  readonly attempt?: number | undefined;
}

/** What befalls an agent's process, as it goes on the wire. */
export type SupervisionEvent =
  | (RestartPlan & {
      readonly type: "agent.exited";
      readonly code: number | null;
      readonly signal: number | null;
      /** Why it ended; `stuck` for one that was ended because it answered no ping. */
      readonly reason: EndReason | "stuck";
      /** Somebody had asked for it. */
      readonly expected: boolean;
      readonly stderr_tail: string;
    })
  /** `resumed`: it goes on with its conversation; else `previous_session_id` names one that it could not go on with. */
  | { readonly type: "agent.ready"; readonly resumed: boolean; readonly previous_session_id?: string | undefined }
  /** No process could be started. */
  | (RestartPlan & { readonly type: "agent.restart_failed"; readonly error: string })
  /** It was stopped before it was started again. */
  | { readonly type: "agent.restart_cancelled" }
  | { readonly type: "agent.stuck"; readonly unanswered_ms: number }
  /** The memory of its tree has passed `memory_alert_mb`, upwards or downwards. */
  | {
      readonly type: "agent.memory_high" | "agent.memory_normal";
      readonly memory_mb: number;
      readonly alert_mb: number;
    };

/** In the place of what a process has said whose secrets are not known (X4). */
export const withheldText = "[withheld]";

export type OnSupervision = (agent: AgentFacts, event: SupervisionEvent) => void;
