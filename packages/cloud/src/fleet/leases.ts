import type { Clock } from "@hl/core/clock.ts";

/**
 * Whether an instance that is not connected is away or lost.
 *   online   its command channel is up.
 *   offline  it is not, and it was heard of within one lease.
 *   lost     nothing was heard of it for a whole lease: three heartbeats, of the interval that it was told, and some grace.
 * An instance holds its lease from its last sign of life, from the end of its connection, and anew from every moment in which this
 * hl-cloud could not have known better: its own start, and a failed write of the store. So an outage of ours is never read as
 * the end of a fleet. Judged when somebody looks, by the monotonic clock: a step of the wall clock loses nobody.
 */
export type InstanceState = "online" | "offline" | "lost";

export interface LeasesOptions {
  readonly clock: Pick<Clock, "now">;
  /** The lease of an instance whose heartbeats come every so many seconds. */
  readonly leaseMs: (heartbeatSeconds: number) => number;
  /** For those whom this hl-cloud has told nothing yet: what an earlier one may have told them. */
  readonly assumedSeconds: number;
}

interface Heard {
  readonly atMs: number;
  readonly heartbeatSeconds: number;
}

export class Leases {
  readonly #options: LeasesOptions;
  readonly #heard = new Map<string, Heard>();
  #renewedAtMs: number;

  constructor(options: LeasesOptions) {
    this.#options = options;
    this.#renewedAtMs = options.clock.now();
  }

  /**
   * A sign of life, or the end of a connection that was one until now.
   * @param heartbeatSeconds the interval that the instance is told and that holds from now on
   */
  heardOf(instanceId: string, heartbeatSeconds = this.#secondsOf(instanceId)): void {
    this.#heard.set(instanceId, { atMs: this.#options.clock.now(), heartbeatSeconds });
  }

  /** A sign of life of an instance that is told an interval for after its next heartbeat: until then the longer one counts. */
  willBeHeardOf(instanceId: string, heartbeatSeconds: number): void {
    this.heardOf(instanceId, Math.max(heartbeatSeconds, this.#heard.get(instanceId)?.heartbeatSeconds ?? 0));
  }

  forget(instanceId: string): void {
    this.#heard.delete(instanceId);
  }

  /** Gives every instance a whole lease from now on. */
  renewAll(): void {
    this.#renewedAtMs = this.#options.clock.now();
  }

  stateOf(instanceId: string, connected: boolean): InstanceState {
    if (connected) return "online";
    const { clock, leaseMs, assumedSeconds } = this.#options;
    const heard = this.#heard.get(instanceId);
    const now = clock.now();
    const isWithin = (sinceMs: number, seconds: number): boolean => now - sinceMs <= leaseMs(seconds);
    if (isWithin(this.#renewedAtMs, Math.max(assumedSeconds, heard?.heartbeatSeconds ?? 0))) return "offline";
    return heard !== undefined && isWithin(heard.atMs, heard.heartbeatSeconds) ? "offline" : "lost";
  }

  #secondsOf(instanceId: string): number {
    return this.#heard.get(instanceId)?.heartbeatSeconds ?? this.#options.assumedSeconds;
  }
}
