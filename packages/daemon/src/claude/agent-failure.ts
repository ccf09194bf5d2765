import { errorText } from "@hl/core/logger.ts";
import { HlError } from "@hl/protocol/errors.ts";
import type { EndRecord } from "../runner/records.ts";
import { AgentFailure } from "./agent.ts";

/** A failure of the daemon's own part as callers get it; what is no such failure passes through. */
export function callersError(error: unknown, more: Readonly<Record<string, unknown>>): unknown {
  if (!(error instanceof AgentFailure)) return error;
  const facts = { ...more, ...error.facts };
  switch (error.kind) {
    case "timeout":
      return new HlError("claude_timeout", error.message, facts, { cause: error });
    case "busy":
      return new HlError("claude_busy", error.message, facts, { cause: error });
    case "invalid_message":
      return new HlError("invalid_params", `message: ${error.message}`, facts, { cause: error });
    case "cancelled":
      return new HlError("request_cancelled", error.message, facts, { cause: error });
    case "outcome_unknown":
      return new HlError("outcome_unknown", error.message, facts, { cause: error });
    case "not_recorded":
      return new HlError("internal_error", error.message, facts, { cause: error });
    case "control_refused":
      return new HlError("claude_refused", error.message, facts, { cause: error });
    case "exited":
      return new HlError("claude_exited", error.message, facts, { cause: error });
  }
}

/** As a shell counts: 128 and the signal, where a signal ended it; -1 where nobody saw how it ended. */
export function exitCodeOf(end: EndRecord): number {
  return end.exitCode ?? (end.signal === undefined ? -1 : 128 + end.signal);
}

/** Why an agent has not become ready. A pipe that broke is the sign of an end, and its exit code says more. */
export function startFailureText(error: unknown, timeoutMs: number, end: EndRecord | undefined): string {
  const kind = error instanceof AgentFailure ? error.kind : undefined;
  if (kind === "timeout") return `did not answer within ${timeoutMs} ms`;
  return kind === "exited" && end?.exitCode !== undefined
    ? `it ended with exit code ${end.exitCode}`
    : errorText(error);
}
