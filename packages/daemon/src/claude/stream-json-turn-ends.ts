/**
 * How the end of a turn is recognised in stream-json: by its result, or by the end of its line's life without one.
 *
 * A result names the lines that it answers. A line sent while a tool ran is taken into that turn, whose result names both, and its life
 * ends just before that result; one sent while the model wrote its last answer begins a turn of its own, with all that were sent then.
 */
import type { RelayError } from "./agent.ts";
import { relayResultOf, relayResultWithoutMessage } from "./relay-result.ts";
import type { ResultMessage } from "./stream-json-messages.ts";
import type { Turn } from "./turn-queue.ts";
import type { Turns } from "./turns.ts";

/** Whether the result was that of one of our turns. It answers every one that it names. */
export function endByResult(turns: Turns, message: ResultMessage, raw: unknown): boolean {
  const answered = turns.sent.filter((turn) => isResultOf(turn, message));
  const [first] = answered;
  if (first === undefined) {
    turns.release("foreign_turn");
    return false;
  }
  const result = relayResultOf(message, raw, first.partialText);
  for (const turn of answered) turns.end(turn, result, turn !== first);
  return true;
}

/** A turn may end without a result: the uuid was known from before a crash, or the line was taken back before it started. */
export function endByLifecycle(turns: Turns, uuid: string, state: string, sessionId: string | undefined): void {
  const turn = turns.sent.find((one) => one.uuid === uuid);
  if (turn === undefined) return;
  turn.confirmed = true;
  if (state === "started") turn.state = "started";
  if (state !== "completed" && state !== "cancelled") return;
  if (turn.state !== "started" && state === "completed") turns.endDuplicate(turn);
  else if (turn.state === "started" && turn.steered && !turn.lineSkipped) turn.resultDue = state;
  else {
    const isOver = turn === turns.active;
    turns.end(turn, relayResultWithoutMessage(missingResult(turn, state), turn.partialText, sessionId));
    if (isOver) endDue(turns, sessionId);
  }
}

/** The agent is idle: what was to come has come. */
export function endByIdle(turns: Turns, sessionId: string | undefined): void {
  endDue(turns, sessionId);
}

function endDue(turns: Turns, sessionId: string | undefined): void {
  for (const turn of turns.sent) {
    if (turn.resultDue === undefined) continue;
    turns.end(turn, relayResultWithoutMessage(missingResult(turn, turn.resultDue), turn.partialText, sessionId));
  }
}

/** A version without uuids in its results still runs one turn at a time. */
function isResultOf(turn: Turn, message: ResultMessage): boolean {
  const uuids = [
    ...(message.user_message_uuids ?? []),
    ...(message.user_message_uuid ? [message.user_message_uuid] : []),
  ];
  return uuids.length === 0 ? turn.state === "started" : uuids.includes(turn.uuid) || turn.resultDue !== undefined;
}

function missingResult(turn: Turn, state: "completed" | "cancelled"): RelayError {
  if (turn.lineSkipped)
    return { kind: "limit", message: "The agent's result was longer than the longest line the daemon reads." };
  if (state === "cancelled") return { kind: "interrupted", message: "The turn was cancelled." };
  return { kind: "other", message: "The agent completed the turn without a result." };
}
