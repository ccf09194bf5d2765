import { Backoff } from "@hl/core/backoff.ts";
import type { Clock } from "@hl/core/clock.ts";
import { errorText, type Logger } from "@hl/core/logger.ts";
import type { CommandRecords } from "../store/command-records.ts";
import type { Command } from "./command.ts";
import type { Ending } from "./ending.ts";

export interface EndStoreOptions {
  readonly records: CommandRecords;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  /** Tells it as an event; resolves when that is durable or refused for good (S2), rejects when it could not be stored. */
  readonly tell: (command: Command, ending: Ending) => Promise<void>;
}

const storeAgainMs = { minMs: 100, maxMs: 30_000 };

/**
 * Makes the end of a command durable, and the event of it in the same transaction, so that neither is there without the other. A full disk
 * or a busy database is met by trying again (S4): until it is stored the shim is not released, and its own record is the only
 * one (P3). Callers have their result long before.
 */
export class EndStore {
  readonly #options: EndStoreOptions;
  readonly #stopping = new AbortController();

  constructor(options: EndStoreOptions) {
    this.#options = options;
  }

  /** Answers true when it is stored; false when the daemon stops before, and the next one finds it again. */
  async store(command: Command, ending: Ending, logBytes: number): Promise<boolean> {
    const { records, clock, logger, random, tell } = this.#options;
    const { signal } = this.#stopping;
    const backoff = new Backoff({ ...storeAgainMs, random });
    let told = false;
    for (;;) {
      // Asked for in one turn of the loop, so that one transaction takes both.
      const event: Promise<void> = told ? Promise.resolve() : tell(command, ending);
      const stored = records.end(command.id, ending.endedMs, ending, logBytes);
      const failed = await failureOf(stored, event);
      if (failed === undefined) return true;
      if (signal.aborted) return false;
      told ||= (await failureOf(event)) === undefined;
      const reason: unknown = failed.reason;
      const attempt = backoff.attempt + 1;
      logger.error(
        { command_id: command.id, attempt, error: errorText(reason) },
        "the end of a command is not stored yet",
      );
      await clock.sleep(backoff.nextMs(), signal).catch(() => {});
    }
  }

  /** No attempt is made any more after the one under way. */
  stop(): void {
    this.#stopping.abort(new Error("the daemon is stopping"));
  }
}

/** The first of them that was rejected, once all are settled. */
async function failureOf(...promises: Promise<void>[]): Promise<PromiseRejectedResult | undefined> {
  const outcomes = await Promise.allSettled(promises);
  return outcomes.find((outcome) => outcome.status === "rejected");
}
