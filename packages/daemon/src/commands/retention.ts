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
  /** Removes what a run has left on disk; rejects with `StartFailed` when that one cannot be removed now, and when the signal aborts. */
  readonly remove: (runId: string, signal: AbortSignal) => Promise<void>;
}

const pageSize = 100;
/** Each takes a shim of its own and a look at every process: one after the other they fall behind a busy caller. */
const removalsAtOnce = 4;
/** A round ends although more is due, so that other work has its turn while a busy caller makes old ones as fast as they go. */
const pagesInRound = 10;
/** So far over a limit it is time to act, not only at the next interval. */
const farOver = 1.1;

/** Forgets finished commands with their output, by age, bytes and number (P7). */
export class Retention {
  readonly #options: RetentionOptions;
  /** Runs whose folder could not be removed; told once. */
  readonly #stuck = new Set<string>();
  /** Where the next round goes on, so that those that stay at the head keep no other from its turn. */
  #place: FinishedPlace | undefined;

  constructor(options: RetentionOptions) {
    this.#options = options;
  }

  get isFarOver(): boolean {
    const { records, limits } = this.#options;
    const { count, logBytes } = records.finished;
    return count > limits.commands * farOver || logBytes > limits.logBytes * farOver;
  }

  /**
   * Answers whether more is due. Rejects when the runner cannot be reached; what was removed until then is forgotten. An abort ends the
   * round within a page.
   * @param share of each limit, 0 to 1
   */
  async prune(signal: AbortSignal = new AbortController().signal, share = 1): Promise<boolean> {
    const { records } = this.#options;
    let place = this.#place;
    this.#place = undefined;
    for (let pages = 0; pages < pagesInRound && !signal.aborted; pages += 1) {
      const page = records.oldest(pageSize, place);
      const last = page.at(-1);
      if (last === undefined || !(await this.#prunePage(page, signal, share))) return false;
      place = { endedMs: last.endedMs ?? 0, commandId: last.commandId };
    }
    this.#place = place;
    return true;
  }

  /** Answers whether there may be more. */
  async #prunePage(page: readonly CommandRecord[], signal: AbortSignal, share: number): Promise<boolean> {
    const { records, limits, wallMs } = this.#options;
    const oldestMs = wallMs() - limits.ageMs * share;
    let { count, logBytes } = records.finished;
    const due: CommandRecord[] = [];
    for (const record of page) {
      const tooOld = record.endedMs !== undefined && record.endedMs < oldestMs;
      if (!tooOld && count <= limits.commands * share && logBytes <= limits.logBytes * share) break;
      due.push(record);
      if (this.#isKept(record)) continue; // Another one has to go in its place.
      count -= 1;
      logBytes -= record.logBytes;
    }
    const waiting = due.filter((record) => !this.#options.isHeld(record.commandId));
    const removed: string[] = [];
    const remover = async (): Promise<void> => {
      for (let next = waiting.shift(); next !== undefined && !signal.aborted; next = waiting.shift()) {
        try {
          if (await this.#remove(next.runId, signal)) removed.push(next.commandId);
        } catch (error) {
          waiting.length = 0; // The others would hear the same.
          throw error;
        }
      }
    };
    const removers = await Promise.allSettled(Array.from({ length: removalsAtOnce }, remover));
    if (removed.length > 0) await records.forget(removed);
    for (const one of removers) if (one.status === "rejected") throw one.reason;
    return due.length === page.length;
  }

  #isKept({ commandId, runId }: CommandRecord): boolean {
    return this.#options.isHeld(commandId) || this.#stuck.has(runId);
  }

  /** One that cannot be removed does not keep the others; it is tried again next time. */
  async #remove(runId: string, signal: AbortSignal): Promise<boolean> {
    const { remove, logger } = this.#options;
    try {
      await remove(runId, signal);
      this.#stuck.delete(runId);
      return true;
    } catch (error) {
      if (signal.aborted) return false;
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
