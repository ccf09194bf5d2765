import type { Clock } from "@hl/core/clock.ts";
import type { Runner } from "../runner/runner.ts";
import type { AgentRecords } from "../store/agent-records.ts";
import { AgentFailure } from "./agent.ts";
import type { AgentFacts } from "./agent-facts.ts";
import { callersError } from "./agent-failure.ts";
import { logOfTurn } from "./agent-runs.ts";
import { protocolOf } from "./protocols.ts";
import { recordedRelay } from "./recorded-relay.ts";
import type { RelayRequest } from "./relays.ts";

export interface EndedRelayOptions {
  readonly facts: AgentFacts;
  readonly records: AgentRecords;
  readonly runner: Runner;
  readonly clock: Clock;
  readonly lineBytesMax: number;
}

/** The answer to a relay where no process of the agent runs: the result that the relay id had, else why there is none. */
export async function endedRelay(options: EndedRelayOptions, { message, relayId }: RelayRequest): Promise<unknown> {
  const { facts, records, runner, clock, lineBytesMax } = options;
  const { processId, sessionId } = facts;
  try {
    const past = { records, processId, protocol: protocolOf(facts.protocol), sessionId, clock, lineBytesMax };
    const known = await recordedRelay({ ...past, relayId, message, cursor: (turn) => logOfTurn(runner, turn) });
    if (known !== undefined) return known;
  } catch (error) {
    throw callersError(error, { process_id: processId, exit_code: facts.exitCode });
  }
  throw endedError(facts);
}

/** What claude/relay and claude/interrupt answer where no process runs. */
export function endedError({ processId, exitCode, state }: AgentFacts): unknown {
  const text = `The agent ended with exit code ${exitCode ?? "unknown"}`;
  const more = { process_id: processId, exit_code: exitCode };
  if (state !== "restarting") return callersError(new AgentFailure("exited", `${text}.`, { sent: false }), more);
  const again = `${text} and is being started again; nothing was sent, so send it again when it is ready.`;
  return callersError(new AgentFailure("exited", again, { sent: false }), { ...more, will_restart: true });
}
