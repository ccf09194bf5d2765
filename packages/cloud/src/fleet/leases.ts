import type { Clock } from "@hl/core/clock.ts";

/**
 * Whether an instance that is not connected is away or lost.
 *   online   its command channel is up.
 *   offline  it is not, and it was heard of within one lease.
 *   lost     nothing was heard of it for a whole lease: three heartbeats and some grace.
 * An instance holds its lease from its last sign of life, from the end of its connection, and anew from every moment in which this
 * hl-cloud could not have known better: its own start, and a failed write of the store. So an outage of ours is never read as
 * the end of a fleet. Judged when somebody looks, by the monotonic clock: a step of the wall clock loses nobody.
 */
export type InstanceState = "online" | "offline" | "lost";

export interface LeasesOptions {
  readonly clock: Pick<Clock, "now">;
  readonly leaseMs: number;
}

export class Leases {
  readonly #options: LeasesOptions;
  readonly #heardAtMs = new Map<string, number>();
  #renewedAtMs: number;

  constructor(options: LeasesOptions) {
    this.#options = options;
    this.#renewedAtMs = options.clock.now();
  }

  /** A sign of life, or the end of a connection that was one until now. */
  heardOf(instanceId: string): void {
    this.#heardAtMs.set(instanceId, this.#options.clock.now());
  }

  forget(instanceId: string): void {
    this.#heardAtMs.delete(instanceId);
  }

  /** Gives every instance a whole lease from now on. */
  renewAll(): void {
    this.#renewedAtMs = this.#options.clock.now();
  }

  stateOf(instanceId: string, connected: boolean): InstanceState {
    if (connected) return "online";
    const since = Math.max(this.#renewedAtMs, this.#heardAtMs.get(instanceId) ?? Number.NEGATIVE_INFINITY);
    return this.#options.clock.now() - since > this.#options.leaseMs ? "lost" : "offline";
  }
}
