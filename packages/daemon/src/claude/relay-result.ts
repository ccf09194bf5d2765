/**
 * Turns the end of a Claude Code turn into the result a caller gets.
 */
import type { RelayError, RelayResult } from "./agent.ts";
import type { ResultMessage } from "./stream-json-messages.ts";

const errorCharsMax = 4_096;

/** `partialText` stands in where the agent's result has no text of its own: a turn that was interrupted. */
export function relayResultOf(message: ResultMessage, raw: unknown, partialText: string): RelayResult {
  const isError = message.is_error || message.subtype !== "success";
  return {
    text: message.result ?? partialText,
    is_error: isError,
    ...(isError ? { error: errorOf(message) } : {}),
    stop_reason: message.stop_reason ?? null,
    session_id: message.session_id,
    num_turns: message.num_turns,
    usage: message.usage,
    cost_usd: message.total_cost_usd,
    permission_denials: message.permission_denials,
    raw,
  };
}

/** The result of a turn that ended without a result message. */
export function relayResultWithoutMessage(
  error: RelayError,
  partialText: string,
  sessionId: string | undefined,
): RelayResult {
  return { text: partialText, is_error: true, error, stop_reason: null, session_id: sessionId, raw: null };
}

/** The answer to a relay whose turn has ended before: how it ended, but not its text, which the daemon's journal has. */
export function duplicateOf(earlier: RelayResult | undefined, sessionId: string | undefined): RelayResult {
  return {
    text: "",
    is_error: earlier?.is_error ?? false,
    ...(earlier?.error ? { error: earlier.error } : {}),
    stop_reason: earlier?.stop_reason ?? null,
    session_id: earlier?.session_id ?? sessionId,
    num_turns: earlier?.num_turns,
    duplicate: true,
    raw: null,
  };
}

function errorOf(message: ResultMessage): RelayError {
  const text = (message.result ?? message.errors?.join("\n") ?? message.subtype).slice(0, errorCharsMax);
  return {
    kind: errorKindOf(message),
    ...(message.api_error_status ? { status: message.api_error_status } : {}),
    message: text,
  };
}

function errorKindOf({ subtype, terminal_reason: reason }: ResultMessage): RelayError["kind"] {
  if (subtype === "error_max_turns") return "max_turns";
  if (reason === "api_error") return "api";
  if (reason === "blocking_limit") return "limit";
  return reason?.startsWith("aborted_") ? "interrupted" : "other";
}
