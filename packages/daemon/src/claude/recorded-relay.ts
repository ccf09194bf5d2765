import type { Clock } from "@hl/core/clock.ts";
import type { LogCursor } from "../runner/log-cursor.ts";
import type { AgentRecords, TurnRecord } from "../store/agent-records.ts";
import { AgentFailure } from "./agent.ts";
import { hashOfLine } from "./agent-input.ts";
import type { AgentProtocol } from "./engine.ts";
import { uuidOfRelay } from "./relay-message.ts";
import { duplicateOf } from "./relay-result.ts";
import { replayTurn } from "./turn-replay.ts";

export interface RecordedRelayOptions {
  readonly records: AgentRecords;
  readonly processId: string;
  readonly protocol: AgentProtocol;
  readonly sessionId: string;
  readonly relayId: string;
  readonly message: unknown;
  /** The log with the turn's output, from its beginning. */
  readonly cursor: (turn: TurnRecord) => Promise<LogCursor | undefined>;
  readonly clock: Clock;
  readonly lineBytesMax: number;
}

/**
 * The answer to a relay id that this agent has had before, also before a restart of the daemon: the result of its turn, never a second
 * turn (A2). Undefined where it is new or still in flight. Rejects with an `AgentFailure` where the message is another one than then,
 * and where it was not answered.
 */
export async function recordedRelay(options: RecordedRelayOptions): Promise<unknown> {
  const { records, processId, protocol, sessionId, relayId, message, cursor, clock, lineBytesMax } = options;
  const uuid = uuidOfRelay(relayId);
  const turn = records.findTurn(processId, uuid);
  if (turn === undefined) return undefined;
  const line = protocol.turnLine(message, relayId, sessionId);
  if (line === undefined) return undefined;
  if (hashOfLine(line) !== turn.lineHash) {
    const why = `relay_id ${JSON.stringify(relayId)} was used before with another message; use a new one.`;
    throw new AgentFailure("invalid_message", why, { sent: false });
  }
  switch (turn.outcome) {
    case undefined:
      return undefined;
    case "answered": {
      const log = await cursor(turn);
      const result = log && (await replayTurn({ cursor: log, turn, protocol, sessionId, clock, lineBytesMax }));
      return protocol.response(result ? { ...result, duplicate: true } : duplicateOf(undefined, undefined), message);
    }
    case "cut":
      throw new AgentFailure(
        "exited",
        "The agent had this message and ended before it answered; it is not sent again.",
        {
          sent: true,
          turnEnded: true,
        },
      );
    case "unknown": {
      const why = "It is not known whether the agent had this message when it ended; it is not sent again.";
      throw new AgentFailure("outcome_unknown", why, { turnEnded: true });
    }
  }
}
