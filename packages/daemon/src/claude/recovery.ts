import type { Clock } from "@hl/core/clock.ts";
import { errorText, type Logger } from "@hl/core/logger.ts";
import { settledWithin } from "@hl/core/service.ts";
import { endStranger } from "../runner/end-stranger.ts";
import type { Run } from "../runner/run.ts";
import type { Runner } from "../runner/runner.ts";
import type { AgentRecord, AgentRecords } from "../store/agent-records.ts";
import { AgentFacts } from "./agent-facts.ts";
import type { AgentProcess } from "./agent-process.ts";
import { EndedAgent } from "./ended-agent.ts";

export interface RecoveryOptions {
  readonly runner: Runner;
  readonly records: AgentRecords;
  readonly host: { readonly temporaryRoot: string; removeFolder(temporary: string): void };
  readonly clock: Clock;
  readonly logger: Logger;
  readonly startTimeoutMs: number;
  readonly lineBytesMax: number;
  readonly onEnd: (agent: AgentFacts) => void;
  /** Takes an agent of before into the table; it is not attached to yet. */
  readonly processOf: (record: AgentRecord, run: Run) => AgentProcess;
  readonly add: (agent: EndedAgent) => void;
}

/** Tells the runs of agents from those of commands. */
export const agentIdPrefix = "agent_";

/** One agent that cannot be read does not keep the daemon from starting; it is attached to when it can be. */
const recoverMsMax = 5_000;

/**
 * After a restart of the daemon (P3): attaches to every agent that a shim holds, takes up the ends that came meanwhile, says what nobody
 * saw, and ends what no record knows, with its whole tree (P1). Resolves after a bounded time; what takes longer goes on behind it.
 */
export async function recoverAgents(options: RecoveryOptions): Promise<void> {
  const { runner, records, clock, logger, add } = options;
  const strangers = new Set((await runner.list()).filter((name) => name.startsWith(agentIdPrefix)));
  const work: Promise<void>[] = [];
  for (const record of records.all()) {
    strangers.delete(record.processId);
    if (record.endedMs === undefined) work.push(recoverOne(options, record));
    else add(new EndedAgent({ ...options, facts: new AgentFacts(record, records, logger) }));
  }
  for (const id of strangers) work.push(endUnknown(options, id));
  const logged = work.map((one) =>
    one.catch((error: unknown) =>
      logger.error({ error: errorText(error) }, "an agent of before could not be looked up"),
    ),
  );
  await settledWithin(clock, recoverMsMax, Promise.all(logged));
}

async function recoverOne(options: RecoveryOptions, record: AgentRecord): Promise<void> {
  const { runner, records, logger, startTimeoutMs, processOf, add } = options;
  const { processId } = record;
  const run = await runner.find(processId);
  if (run !== undefined) {
    const agent = processOf(record, run);
    try {
      await agent.attach(startTimeoutMs);
    } catch (error) {
      logger.error({ process_id: processId, error: errorText(error) }, "an agent of before cannot be attached to");
      await agent.stop({ force: true, timeoutMs: 0 });
    }
  } else if (record.readyMs === undefined) {
    await records.forget(processId); // The daemon ended before the runner had started anything.
  } else {
    add(gone(options, record));
  }
}

/** Not even its log is there. */
function gone({ onEnd, ...options }: RecoveryOptions, record: AgentRecord): EndedAgent {
  const { records, clock, logger, host } = options;
  logger.warn({ process_id: record.processId }, "nothing is known of the end of this agent");
  const facts = new AgentFacts(record, records, logger);
  void facts.recordEnd(clock.wallMs(), -1, "unknown");
  onEnd(facts);
  host.removeFolder(`${host.temporaryRoot}/${record.processId}`);
  return new EndedAgent({ ...options, facts });
}

async function endUnknown({ runner, host, logger }: RecoveryOptions, id: string): Promise<void> {
  const pid = await endStranger(runner, id);
  if (pid === undefined) return;
  host.removeFolder(`${host.temporaryRoot}/${id}`);
  logger.warn({ process_id: id, pid }, "an agent that no record knows was ended");
}
