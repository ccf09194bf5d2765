import { BucketTable } from "@hl/core/bucket-table.ts";
import type { Clock } from "@hl/core/clock.ts";
import type { BucketLimit } from "@hl/core/token-bucket.ts";
import { HlError } from "@hl/protocol/errors.ts";

/** One bucket for each instance: a daemon that runs wild costs the others nothing. */
export interface RateLimitsOptions {
  /** For the message: "heartbeats". */
  readonly what: string;
  readonly limit: BucketLimit;
  readonly clock: Pick<Clock, "now">;
}

/** Far more than one hl-cloud serves; those behind it would share one bucket. */
const instancesMax = 200_000;

export class RateLimits {
  readonly #options: RateLimitsOptions;
  readonly #buckets: BucketTable;
  #refused = 0;

  constructor(options: RateLimitsOptions) {
    this.#options = options;
    this.#buckets = new BucketTable({ limit: options.limit, clock: options.clock, bucketsMax: instancesMax });
  }

  get refused(): number {
    return this.#refused;
  }

  /** Instances that are remembered: those that have asked lately. */
  get size(): number {
    return this.#buckets.size;
  }

  /** Throws `rate_limited` (429 with Retry-After) over the rate. Only for callers that are authenticated: each costs memory. */
  take(instanceId: string): void {
    const { what, limit } = this.#options;
    const waitMs = this.#buckets.take(instanceId);
    if (waitMs === 0) return;
    this.#refused += 1;
    const text = `${instanceId} sends more than ${limit.perSecond} ${what} a second`;
    throw new HlError("rate_limited", text, { retry_after_ms: Math.ceil(waitMs) });
  }
}
