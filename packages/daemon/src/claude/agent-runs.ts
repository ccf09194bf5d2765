import type { AgentRecords, TurnRecord } from "../store/agent-records.ts";
import type { LogCursor } from "../runner/log-cursor.ts";
import type { Runner } from "../runner/runner.ts";

/** Tells the runs of agents from those of commands. */
export const agentIdPrefix = "agent_";

/** Earlier processes of an agent whose logs are kept, for results that are asked for again. */
export const earlierLivesKept = 3;

/** Each process of an agent is a run of its own; the first has the agent's name. */
export function runIdOf(processId: string, life: number): string {
  return life === 0 ? processId : `${processId}_${life}`;
}

/** The runs of an agent that may still be there, newest first. */
export function runIdsOf(processId: string, life: number): string[] {
  const oldest = Math.max(0, life - earlierLivesKept);
  return Array.from({ length: life - oldest + 1 }, (_, back) => runIdOf(processId, life - back));
}

/** The log with the output of a turn, from its beginning; undefined where it is gone. */
export async function logOfTurn(runner: Runner, turn: TurnRecord): Promise<LogCursor | undefined> {
  const run = await runner.find(runIdOf(turn.processId, turn.life ?? 0));
  return run?.cursor(turn.beganAt);
}

/** Nothing of the agent is needed any more. */
export async function forgetAgent(
  runner: Runner,
  records: AgentRecords,
  agent: Readonly<{ processId: string; restarts: number }>,
): Promise<void> {
  const { processId, restarts } = agent;
  await Promise.all(runIdsOf(processId, restarts).map((id) => runner.remove(id)));
  await records.forget(processId);
}
