import type { Clock } from "@hl/core/clock.ts";
import { LoopService } from "@hl/core/service.ts";

export interface PrunerOptions {
  readonly commands: { prune(retentionMs: number): Promise<void> };
  readonly clock: Clock;
  readonly intervalMs: number;
  readonly retentionMs: number;
  /** Other tables that only grow. */
  readonly tidy: () => Promise<void>;
  readonly onError: (error: unknown) => void;
}

/** Removes what has outlived its retention (P7). */
export class Pruner extends LoopService {
  override readonly name = "commands/pruner";
  readonly #options: PrunerOptions;

  constructor(options: PrunerOptions) {
    super();
    this.#options = options;
  }

  protected override async run(signal: AbortSignal): Promise<void> {
    const { commands, clock, intervalMs, retentionMs, tidy, onError } = this.#options;
    while (!signal.aborted) {
      try {
        await commands.prune(retentionMs);
        await tidy();
      } catch (error) {
        onError(error);
      }
      await clock.sleep(intervalMs, signal).catch(() => {});
    }
  }
}
