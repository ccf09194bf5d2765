import type { Clock } from "@hl/core/clock.ts";
import { errorText, type Logger } from "@hl/core/logger.ts";
import { settledWithin } from "@hl/core/service.ts";
import { endStranger } from "../runner/end-stranger.ts";
import type { Runner } from "../runner/runner.ts";
import type { AgentRecord, AgentRecords } from "../store/agent-records.ts";
import { agentIdPrefix, runIdOf, runIdsOf } from "./agent-runs.ts";
import type { SupervisedAgent } from "./supervised-agent.ts";

export interface RecoveryOptions {
  readonly runner: Runner;
  readonly records: AgentRecords;
  readonly host: { readonly temporaryRoot: string; removeFolder(temporary: string): void };
  readonly clock: Clock;
  readonly logger: Logger;
  /** Takes an agent of before into the table. */
  readonly add: (record: AgentRecord) => SupervisedAgent;
}

/** One agent that cannot be read does not keep the daemon from starting; it is attached to when it can be. */
const recoverMsMax = 5_000;

/**
 * After a restart of the daemon (P3): attaches to every agent that a shim holds, takes up the ends that came meanwhile, says what nobody
 * saw, and ends what no record knows, with its whole tree (P1). What has ended unasked is started again by the same rule as under a daemon
 * that saw it. Resolves after a bounded time; what takes longer goes on behind it.
 */
export async function recoverAgents(options: RecoveryOptions): Promise<void> {
  const { runner, records, clock, logger, add } = options;
  const strangers = new Set((await runner.list()).filter((name) => name.startsWith(agentIdPrefix)));
  const work: Promise<void>[] = [];
  for (const record of records.all()) {
    for (const id of runIdsOf(record.processId, record.life)) strangers.delete(id);
    if (record.endedMs === undefined) work.push(recoverOne(options, record));
    else add(record).over();
  }
  for (const id of strangers) work.push(endUnknown(options, id));
  const logged = work.map((one) =>
    one.catch((error: unknown) =>
      logger.error({ error: errorText(error) }, "an agent of before could not be looked up"),
    ),
  );
  await settledWithin(clock, recoverMsMax, Promise.all(logged));
}

async function recoverOne({ runner, records, add }: RecoveryOptions, record: AgentRecord): Promise<void> {
  const run = await runner.find(runIdOf(record.processId, record.life));
  if (record.restartAtMs !== undefined) await add(record).awaitRestart(record, run);
  else if (run !== undefined) await add(record).attach(run, record);
  else if (record.readyMs === undefined && record.life === 0) {
    await records.forget(record.processId); // The daemon ended before the runner had started anything.
  } else add(record).lost();
}

async function endUnknown({ runner, host, logger }: RecoveryOptions, id: string): Promise<void> {
  const pid = await endStranger(runner, id);
  if (pid === undefined) return;
  host.removeFolder(`${host.temporaryRoot}/${id}`);
  logger.warn({ process_id: id, pid }, "an agent that no record knows was ended");
}
