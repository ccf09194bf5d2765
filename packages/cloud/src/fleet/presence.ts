import type { Clock } from "@hl/core/clock.ts";
import type { Logger } from "@hl/core/logger.ts";
import { LoopService } from "@hl/core/service.ts";
import type { InstanceStore, Sighting } from "../store/store.ts";
import type { Leases } from "./leases.ts";

/**
 * Signs of life live in memory and reach the store in batches: a row write for each heartbeat would make liveness the
 * store's main work. A write that fails ends no session; it is repeated with what came meanwhile. A crash loses at most one
 * interval of `last_seen`, which the next heartbeat repairs.
 */
export interface PresenceOptions {
  readonly store: Pick<InstanceStore, "touch">;
  readonly leases: Leases;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly flushIntervalMs: number;
}

export class Presence extends LoopService {
  readonly name = "fleet/presence";
  readonly #options: PresenceOptions;
  readonly #latest = new Map<string, Sighting>();
  readonly #unsaved = new Set<string>();
  #failures = 0;

  constructor(options: PresenceOptions) {
    super();
    this.#options = options;
  }

  /** Writes that failed since the start. */
  get failures(): number {
    return this.#failures;
  }

  /** Any contact; a heartbeat brings its figures. */
  seen(instanceId: string, heartbeat?: Readonly<Record<string, unknown>>): void {
    this.#options.leases.heardOf(instanceId);
    const known = this.#latest.get(instanceId)?.heartbeat;
    this.#latest.set(instanceId, {
      instanceId,
      lastSeenMs: this.#options.clock.wallMs(),
      heartbeat: heartbeat ?? known,
    });
    this.#unsaved.add(instanceId);
  }

  latest(instanceId: string): Sighting | undefined {
    return this.#latest.get(instanceId);
  }

  /** The instance is known no more. */
  forget(instanceId: string): void {
    this.#latest.delete(instanceId);
    this.#unsaved.delete(instanceId);
    this.#options.leases.forget(instanceId);
  }

  async flush(): Promise<void> {
    const ids = [...this.#unsaved];
    if (ids.length === 0) return;
    this.#unsaved.clear();
    try {
      await this.#options.store.touch(ids.flatMap((id) => this.#latest.get(id) ?? []));
    } catch (error) {
      for (const id of ids) this.#unsaved.add(id);
      this.#failures += 1;
      this.#options.leases.renewAll();
      throw error;
    }
  }

  protected async run(signal: AbortSignal): Promise<void> {
    const { clock, logger, flushIntervalMs } = this.#options;
    while (!signal.aborted) {
      await clock.sleep(flushIntervalMs, signal).catch(() => {}); // At a stop the last batch is written too.
      await this.flush().catch((error: unknown) => logger.error({ error }, "last_seen could not be written; retried"));
    }
  }
}
