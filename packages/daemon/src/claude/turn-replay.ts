import { randomUUID } from "node:crypto";
import type { Clock } from "@hl/core/clock.ts";
import type { LogCursor } from "../runner/log-cursor.ts";
import type { TurnRecord } from "../store/agent-records.ts";
import type { RelayResult } from "./agent.ts";
import type { AgentProtocol } from "./engine.ts";

export interface ReplayOptions {
  /** On the log of the agent, at `turn.beganAt`. */
  readonly cursor: LogCursor;
  readonly turn: TurnRecord;
  readonly protocol: AgentProtocol;
  readonly sessionId: string;
  readonly clock: Clock;
  readonly lineBytesMax: number;
}

/**
 * The result of a turn that is over, read in the log again by the same adapter that read it then; nothing is stored twice.
 * Undefined where the log no longer has it.
 */
export async function replayTurn({
  cursor,
  turn,
  protocol,
  sessionId,
  clock,
  lineBytesMax,
}: ReplayOptions): Promise<RelayResult | undefined> {
  let result: RelayResult | undefined;
  const agent = protocol.engine({
    write: () => {},
    endInput: () => {},
    session: { id: sessionId, workspacePath: "", resume: true, known: true },
    clock,
    newId: randomUUID,
    lineBytesMax,
    onEvent: (event) => {
      if (event.type === "agent.turn_completed" && event.relayId === turn.relayId) result = event.result;
    },
  });
  agent.attach();
  agent.adopt(turn.relayId, turn.steered);
  await using open = cursor;
  while (result === undefined) {
    const { chunks, gapBytes } = await open.read(turn.endedAt ?? 0);
    if (chunks.length === 0) return undefined;
    if (gapBytes > 0) agent.lost(gapBytes);
    for (const { stream, data } of chunks) if (stream === "stdout") agent.receive(data);
  }
  return result;
}
