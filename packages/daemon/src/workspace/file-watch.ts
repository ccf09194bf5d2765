import { randomUUID } from "node:crypto";
import { Backoff } from "@hl/core/backoff.ts";
import type { Clock } from "@hl/core/clock.ts";
import { errorText } from "@hl/core/logger.ts";
import { HlError, type ErrorType } from "@hl/protocol/errors.ts";
import type { FileChanged } from "@hl/protocol/methods/file-watch.ts";
import type { WorkspaceProcess } from "./workspace-process.ts";

/** A watch as one life of hl-workspace has it. */
export interface BegunWatch {
  readonly process: WorkspaceProcess;
  readonly begun: { readonly watch_id: string; readonly path: string };
}

export interface FileWatchOptions {
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly begin: (signal: AbortSignal) => Promise<BegunWatch>;
  readonly onEnd: () => void;
}

/** Between two attempts to go on behind an hl-workspace that has ended. */
const againMs = { minMs: 100, maxMs: 10_000 };

/** Errors of an hl-workspace that is not there, or has no room, just now: they go by themselves. Any other ends the watch. */
const passing: ReadonlySet<ErrorType> = new Set(["workspace_lost", "runner_unavailable", "rate_limited"]);

/**
 * One caller's watch. It outlives hl-workspace: begun again in the next one, with a gap for what nobody saw meanwhile (S2). States:
 * begun ⇄ lost → ended.
 */
export class FileWatch {
  readonly id = randomUUID();
  readonly #options: FileWatchOptions;
  readonly #ended = new AbortController();
  #current: BegunWatch | undefined;

  constructor(options: FileWatchOptions) {
    this.#options = options;
  }

  /** Where the folder really lies. */
  get path(): string {
    return this.#current?.begun.path ?? "";
  }

  async begin(signal: AbortSignal): Promise<void> {
    this.#current = await this.#options.begin(AbortSignal.any([signal, this.#ended.signal]));
  }

  end(): void {
    if (this.#ended.signal.aborted) return;
    this.#ended.abort(new Error("the watch was ended"));
    this.#forget();
    this.#options.onEnd();
  }

  /** Tells changes until the watch ends, each batch when the one before was taken (P5). */
  async deliver(notify: (changed: FileChanged) => Promise<void>): Promise<void> {
    const { signal } = this.#ended;
    const backoff = new Backoff({ ...againMs, random: this.#options.random });
    try {
      while (!signal.aborted) {
        const changed = await this.#next(signal, backoff);
        await notify({ ...changed, watch_id: this.id });
        if (changed.ended !== undefined) return;
      }
    } catch (error) {
      if (!signal.aborted) await notify({ watch_id: this.id, changes: [], ended: errorText(error) });
    } finally {
      this.end();
    }
  }

  async #next(signal: AbortSignal, backoff: Backoff): Promise<FileChanged> {
    if (this.#current === undefined) {
      await this.#beginAgain(signal, backoff);
      return { watch_id: this.id, changes: [], gap: true };
    }
    const { process, begun } = this.#current;
    try {
      const changed = await process.call("workspace/changes", { watch_id: begun.watch_id }, { signal });
      backoff.reset();
      return changed;
    } catch (error) {
      if (signal.aborted || !(error instanceof HlError) || error.type !== "workspace_lost") throw error;
      this.#current = undefined;
      return this.#next(signal, backoff);
    }
  }

  async #beginAgain(signal: AbortSignal, backoff: Backoff): Promise<void> {
    for (;;) {
      await this.#options.clock.sleep(backoff.nextMs(), signal);
      try {
        await this.begin(signal);
        return;
      } catch (error) {
        if (signal.aborted || !(error instanceof HlError) || !passing.has(error.type)) throw error;
      }
    }
  }

  #forget(): void {
    const current = this.#current;
    this.#current = undefined;
    // One that has gone has forgotten it by itself.
    current?.process.call("workspace/unwatch", { watch_id: current.begun.watch_id }).catch(() => {});
  }
}
