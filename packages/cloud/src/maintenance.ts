import type { Clock } from "@hl/core/clock.ts";
import type { Logger } from "@hl/core/logger.ts";
import { LoopService } from "@hl/core/service.ts";
import type { Store } from "./store/store.ts";

/** Forgets what is older than it needs to be, in small bites so that no other write waits for long (P7). */
export interface MaintenanceOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly eventLifeMs: number;
  readonly requestLifeMs: number;
}

const intervalMs = 3_600_000;
const rowsPerBite = 1_000;

export class Maintenance extends LoopService {
  readonly name = "maintenance";
  readonly #options: MaintenanceOptions;

  constructor(options: MaintenanceOptions) {
    super();
    this.#options = options;
  }

  protected async run(signal: AbortSignal): Promise<void> {
    const { clock, logger } = this.#options;
    while (!signal.aborted) {
      await this.#sweep(signal).catch((error: unknown) => logger.error({ error }, "old rows could not be removed"));
      await clock.sleep(intervalMs, signal).catch(() => {}); // Only an abort rejects, and the loop condition sees it.
    }
  }

  async #sweep(signal: AbortSignal): Promise<void> {
    const { store, clock, eventLifeMs, requestLifeMs } = this.#options;
    const now = clock.wallMs();
    while (!signal.aborted && (await store.events.prune(now - eventLifeMs, rowsPerBite)) === rowsPerBite);
    while (!signal.aborted && (await store.requests.prune(now - requestLifeMs, rowsPerBite)) === rowsPerBite);
  }
}
