import type { Clock } from "@hl/core/clock.ts";
import { LoopService } from "@hl/core/service.ts";

export interface PrunerOptions {
  readonly retention: { prune(signal: AbortSignal, share?: number): Promise<boolean> };
  readonly clock: Clock;
  readonly intervalMs: number;
  /** Other tables that only grow. */
  readonly tidy: () => Promise<void>;
  readonly onError: (error: unknown) => void;
}

/** Removes what has outlived its retention (P7): every interval, and when it is asked to. */
export class Pruner extends LoopService {
  override readonly name = "commands/pruner";
  readonly #options: PrunerOptions;
  #share = 1;
  #asked = Promise.withResolvers<undefined>();

  constructor(options: PrunerOptions) {
    super();
    this.#options = options;
  }

  /** A limit has been passed by far, or is another one now. */
  poke(): void {
    this.#asked.resolve(undefined);
  }

  /** The disk is short of room: once, all but this share of what is kept goes too. */
  relieve(share: number): void {
    this.#share = share;
    this.poke();
  }

  protected override async run(signal: AbortSignal): Promise<void> {
    const { retention, clock, tidy, onError } = this.#options;
    while (!signal.aborted) {
      this.#asked = Promise.withResolvers();
      const share = this.#share;
      const more = await retention.prune(signal, share).catch(onError); // Neither keeps the other.
      if (more !== true && share === this.#share) this.#share = 1;
      await tidy().catch(onError);
      if (more === true) continue;
      const awake = new AbortController();
      const slept = clock.sleep(this.#options.intervalMs, AbortSignal.any([signal, awake.signal])).catch(() => {});
      await Promise.race([slept, this.#asked.promise]);
      awake.abort();
    }
  }
}
