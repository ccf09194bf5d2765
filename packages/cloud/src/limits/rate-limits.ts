import type { Clock } from "@hl/core/clock.ts";
import { HlError } from "@hl/protocol/errors.ts";
import { TokenBucket, type BucketLimit } from "./token-bucket.ts";

/** One bucket for each instance: a daemon that runs wild costs the others nothing. */
export interface RateLimitsOptions {
  /** For the message: "heartbeats". */
  readonly what: string;
  readonly limit: BucketLimit;
  readonly clock: Pick<Clock, "now">;
}

export class RateLimits {
  readonly #options: RateLimitsOptions;
  readonly #buckets = new Map<string, TokenBucket>();
  #sweepAtSize = 1_024;
  #refused = 0;

  constructor(options: RateLimitsOptions) {
    this.#options = options;
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
    const { clock, what, limit } = this.#options;
    const now = clock.now();
    let bucket = this.#buckets.get(instanceId);
    if (bucket === undefined) {
      this.#forgetFull(now);
      this.#buckets.set(instanceId, (bucket = new TokenBucket(limit, now)));
    }
    const waitMs = bucket.take(now);
    if (waitMs === 0) return;
    this.#refused += 1;
    const text = `${instanceId} sends more than ${limit.perSecond} ${what} a second`;
    throw new HlError("rate_limited", text, { retry_after_ms: Math.ceil(waitMs) });
  }

  /** A full bucket is as good as none. Looked for only when there are twice as many as the last time found in use (P7). */
  #forgetFull(now: number): void {
    if (this.#buckets.size < this.#sweepAtSize) return;
    for (const [id, bucket] of this.#buckets) if (bucket.isFull(now)) this.#buckets.delete(id);
    this.#sweepAtSize = Math.max(1_024, 2 * this.#buckets.size);
  }
}
