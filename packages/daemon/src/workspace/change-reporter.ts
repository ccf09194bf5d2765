import { Backoff } from "@hl/core/backoff.ts";
import type { Clock } from "@hl/core/clock.ts";
import { errorText, type Logger } from "@hl/core/logger.ts";
import { LoopService } from "@hl/core/service.ts";
import type { FileChanged } from "@hl/protocol/methods/file-watch.ts";
import type { Workspace } from "./workspace.ts";

export interface ChangeReporterOptions {
  readonly workspace: Pick<Workspace, "watch">;
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly logger: Logger;
  readonly emit: (data: Omit<FileChanged, "watch_id"> & { readonly folder: string }) => void;
}

/** Before a folder that cannot be watched is tried again: it may not be there yet. */
const againMs = { minMs: 500, maxMs: 60_000 };

/** Tells changes below the configured folders as events, with a gap where something may be missing (S2). */
export class ChangeReporter extends LoopService {
  readonly name = "file changes";
  readonly #options: ChangeReporterOptions;
  /** Folders that are watched, and how to end that. */
  readonly #watched = new Map<string, AbortController>();
  #wanted: readonly string[] = [];
  #changed = Promise.withResolvers<undefined>();

  constructor(options: ChangeReporterOptions) {
    super();
    this.#options = options;
  }

  /** These folders from now on. */
  watchOnly(paths: readonly string[]): void {
    this.#wanted = paths;
    this.#changed.resolve(undefined);
  }

  protected async run(signal: AbortSignal): Promise<void> {
    const ended = Promise.withResolvers<undefined>();
    signal.addEventListener("abort", () => ended.resolve(undefined), { once: true });
    const follows = new Set<Promise<void>>();
    while (!signal.aborted) {
      this.#changed = Promise.withResolvers();
      for (const [folder, watch] of this.#watched) {
        if (this.#wanted.includes(folder)) continue;
        watch.abort();
        this.#watched.delete(folder);
      }
      for (const folder of this.#wanted) {
        if (this.#watched.has(folder)) continue;
        const watch = new AbortController();
        this.#watched.set(folder, watch);
        const following = this.#follow(folder, AbortSignal.any([signal, watch.signal]));
        follows.add(following);
        void following.finally(() => follows.delete(following));
      }
      await Promise.race([this.#changed.promise, ended.promise]);
    }
    await Promise.all(follows);
  }

  async #follow(folder: string, signal: AbortSignal): Promise<void> {
    const { clock, random, logger } = this.#options;
    const backoff = new Backoff({ ...againMs, random });
    for (;;) {
      try {
        await this.#watch(folder, signal, backoff);
      } catch (error) {
        if (!signal.aborted)
          logger.warn({ folder, error: errorText(error) }, "a folder cannot be watched; it is tried again");
      }
      if (signal.aborted) return;
      await clock.sleep(backoff.nextMs(), signal).catch(() => {});
    }
  }

  async #watch(folder: string, signal: AbortSignal, backoff: Backoff): Promise<void> {
    const { workspace, logger, emit } = this.#options;
    const watch = await workspace.watch({ path: folder }, signal);
    backoff.reset();
    emit({ folder, changes: [], gap: true }); // Nobody has looked until now.
    const end = (): void => watch.end();
    signal.addEventListener("abort", end, { once: true });
    try {
      await watch.deliver(async ({ changes, gap, ended }) => {
        if (ended !== undefined) logger.warn({ folder, reason: ended }, "a folder is not watched any more");
        else emit({ folder, changes, ...(gap === undefined ? {} : { gap }) });
      });
    } finally {
      signal.removeEventListener("abort", end);
    }
  }
}
