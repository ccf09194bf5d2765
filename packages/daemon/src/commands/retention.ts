import { errorText, type Logger } from "@hl/core/logger.ts";
import { StartFailed } from "../runner/records.ts";
import type { CommandRecord, CommandRecords, FinishedPlace } from "../store/command-records.ts";

/** What is kept of finished commands; the oldest end goes first. */
export interface RetentionLimits {
  readonly ageMs: number;
  readonly logBytes: number;
  readonly commands: number;
}

export interface RetentionOptions {
  readonly records: Pick<CommandRecords, "finished" | "oldest" | "forget">;
  readonly limits: RetentionLimits;
  readonly wallMs: () => number;
  readonly logger: Logger;
  /** Something of it runs, and cancel has to reach it (P1). */
  readonly isHeld: (commandId: string) => boolean;
  /** Removes what a run has left on disk; rejects with `StartFailed` when that one cannot be removed now. */
  readonly remove: (runId: string) => Promise<void>;
}

const pageSize = 100;
/** So far over a limit it is time to act, not only at the next interval. */
const farOver = 1.1;

/** Forgets finished commands with their output, by age, bytes and number (P7). */
export class Retention {
  readonly #options: RetentionOptions;
  /** Runs whose folder could not be removed; told once. */
  readonly #stuck = new Set<string>();

  constructor(options: RetentionOptions) {
    this.#options = options;
  }

  get isFarOver(): boolean {
    const { records, limits } = this.#options;
    const { count, logBytes } = records.finished;
    return count > limits.commands * farOver || logBytes > limits.logBytes * farOver;
  }

  /** Rejects when the runner cannot be reached; what was removed until then is forgotten. */
  async prune(): Promise<void> {
    const { records } = this.#options;
    let place: FinishedPlace | undefined;
    for (;;) {
      const page = records.oldest(pageSize, place);
      const last = page.at(-1);
      if (last === undefined || !(await this.#prunePage(page))) return;
      place = { endedMs: last.endedMs ?? 0, commandId: last.commandId };
    }
  }

  /** Answers whether there may be more. */
  async #prunePage(page: readonly CommandRecord[]): Promise<boolean> {
    const { records, limits, wallMs, isHeld } = this.#options;
    const oldestMs = wallMs() - limits.ageMs;
    let { count, logBytes } = records.finished;
    const removed: string[] = [];
    try {
      for (const record of page) {
        const tooOld = record.endedMs !== undefined && record.endedMs < oldestMs;
        if (!tooOld && count <= limits.commands && logBytes <= limits.logBytes) return false;
        if (isHeld(record.commandId) || !(await this.#remove(record.runId))) continue;
        removed.push(record.commandId);
        count -= 1;
        logBytes -= record.logBytes;
      }
      return true;
    } finally {
      if (removed.length > 0) await records.forget(removed);
    }
  }

  /** One that cannot be removed does not keep the others; it is tried again next time. */
  async #remove(runId: string): Promise<boolean> {
    const { remove, logger } = this.#options;
    try {
      await remove(runId);
      this.#stuck.delete(runId);
      return true;
    } catch (error) {
      if (!(error instanceof StartFailed)) throw error;
      if (!this.#stuck.has(runId))
        logger.warn(
          { run_id: runId, error: errorText(error) },
          "the output of a finished command cannot be removed now",
        );
      this.#stuck.add(runId);
      return false;
    }
  }
}
