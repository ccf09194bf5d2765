import type { Clock } from "@hl/core/clock.ts";
import { errorText, type Logger } from "@hl/core/logger.ts";
import { settledWithin } from "@hl/core/service.ts";
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
 * saw, and ends what no record knows, with its whole tree (P1).
 */
export async function recoverAgents(options: RecoveryOptions): Promise<void> {
  const { runner, records, clock, logger, startTimeoutMs, processOf, add } = options;
  const folders = new Set((await runner.list()).filter((name) => name.startsWith(agentIdPrefix)));
  const work: Promise<unknown>[] = [];
  for (const record of records.all()) {
    const { processId } = record;
    const hasFolder = folders.delete(processId);
    if (record.endedMs !== undefined) {
      add(new EndedAgent({ ...options, facts: new AgentFacts(record, records, logger) }));
      continue;
    }
    const run = hasFolder ? await runner.find(processId) : undefined;
    if (run !== undefined) {
      const agent = processOf(record, run);
      const failed = async (error: unknown): Promise<void> => {
        logger.error({ process_id: processId, error: errorText(error) }, "an agent of before cannot be attached to");
        await agent.stop({ force: true, timeoutMs: 0 });
      };
      work.push(agent.attach(startTimeoutMs).catch(failed));
    } else if (hasFolder || record.readyMs !== undefined) {
      add(lost(options, record));
    } else {
      await records.forget(processId); // The daemon ended before it asked the runner.
    }
  }
  for (const id of folders) work.push(endStranger(options, id));
  await settledWithin(clock, recoverMsMax, Promise.all(work));
}

/** Neither its shim nor an end record is there: a power cut, or its shim was killed. */
function lost({ onEnd, ...options }: RecoveryOptions, record: AgentRecord): EndedAgent {
  const { records, clock, logger, host } = options;
  logger.warn({ process_id: record.processId }, "nobody saw the end of this agent");
  const facts = new AgentFacts(record, records, logger);
  void facts.recordEnd(clock.wallMs(), -1, "unknown");
  onEnd(facts);
  host.removeFolder(`${host.temporaryRoot}/${record.processId}`);
  return new EndedAgent({ ...options, facts });
}

async function endStranger({ runner, host, logger }: RecoveryOptions, id: string): Promise<void> {
  const run = await runner.find(id);
  if (run === undefined) return;
  logger.warn({ process_id: id, pid: run.pid }, "an agent that no record knows is ended");
  run.stop("daemon_lost", 0);
  await Promise.all([run.ended, run.empty]);
  run.release();
  host.removeFolder(`${host.temporaryRoot}/${id}`);
  await run.forget();
}
