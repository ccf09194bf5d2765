/**
 * How the end of a turn is recognised in stream-json: by its result, or by the end of its line's life without one.
 */
import type { RelayError } from "./agent.ts";
import { relayResultOf, relayResultWithoutMessage } from "./relay-result.ts";
import type { ResultMessage } from "./stream-json-messages.ts";
import type { Turn } from "./turn-queue.ts";
import type { Turns } from "./turns.ts";

/** Whether the result was that of one of our turns. */
export function endByResult(turns: Turns, message: ResultMessage, raw: unknown): boolean {
  const turn = turns.active;
  if (!turn || !isResultOf(turn, message)) {
    turns.release("foreign_turn");
    return false;
  }
  turns.end(turn, relayResultOf(message, raw, turn.partialText));
  return true;
}

/** A turn may end without a result: the uuid was known from before a crash, or the line was taken back before it started. */
export function endByLifecycle(turns: Turns, uuid: string, state: string, sessionId: string | undefined): void {
  const turn = turns.active;
  if (turn?.uuid !== uuid) return;
  turn.confirmed = true;
  if (state === "started") turn.state = "started";
  if (state !== "completed" && state !== "cancelled") return;
  if (state === "completed" && turn.state !== "started") turns.endDuplicate(turn);
  else turns.end(turn, relayResultWithoutMessage(missingResult(turn, state), turn.partialText, sessionId));
}

/** A version without uuids in its results still runs one turn at a time. */
function isResultOf(turn: Turn, message: ResultMessage): boolean {
  const uuids = [
    ...(message.user_message_uuids ?? []),
    ...(message.user_message_uuid ? [message.user_message_uuid] : []),
  ];
  return uuids.length === 0 ? turn.state === "started" : uuids.includes(turn.uuid);
}

function missingResult(turn: Turn, state: "completed" | "cancelled"): RelayError {
  if (turn.lineSkipped)
    return { kind: "limit", message: "The agent's result was longer than the longest line the daemon reads." };
  if (state === "cancelled") return { kind: "interrupted", message: "The turn was cancelled." };
  return { kind: "other", message: "The agent completed the turn without a result." };
}
