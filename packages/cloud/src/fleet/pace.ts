import type { CloudLimits } from "../cloud-limits.ts";
import type { Leases } from "./leases.ts";

export interface PaceOptions {
  readonly limits: Pick<CloudLimits, "heartbeatSeconds" | "heartbeatSecondsMax" | "fleetHeartbeatsPerSecondMax">;
  readonly leases: Leases;
  /** VMs that are connected now. */
  readonly connectedCount: () => number;
}

/** How often VMs give a sign of life: as configured while they are few, more seldom while all of them together would be too many. */
export class Pace {
  readonly #options: PaceOptions;

  constructor(options: PaceOptions) {
    this.#options = options;
  }

  /** The interval for a fleet of the present size. */
  get seconds(): number {
    return secondsFor(this.#options.connectedCount(), this.#options.limits);
  }

  /** For the answer to a hello. The heartbeat that is due comes by the interval that the VM was told before. */
  welcome(instanceId: string): number {
    const { seconds } = this;
    this.#options.leases.willBeHeardOf(instanceId, seconds);
    return seconds;
  }

  /** For the answer to a heartbeat: from now on this interval holds. */
  beat(instanceId: string): number {
    const { seconds } = this;
    this.#options.leases.heardOf(instanceId, seconds);
    return seconds;
  }
}

export function secondsFor(count: number, limits: PaceOptions["limits"]): number {
  const { heartbeatSeconds, heartbeatSecondsMax, fleetHeartbeatsPerSecondMax } = limits;
  return Math.min(heartbeatSecondsMax, Math.max(heartbeatSeconds, Math.ceil(count / fleetHeartbeatsPerSecondMax)));
}
