import type { Clock } from "@hl/core/clock.ts";
import { TokenBucket, type BucketLimit } from "@hl/core/token-bucket.ts";
import { HlError } from "@hl/protocol/errors.ts";

/**
 * Lets in what a returning fleet asks for at the rate that was measured to be served, and refuses the rest before anything costly
 * is done for it: a server that tries to serve all of a storm serves nobody within anybody's patience.
 *
 * Who is refused is told when to come, each one a place later than the one before, so that they do not come back as one wave.
 */
export interface AdmissionOptions {
  /** For the message: "new connections". */
  readonly what: string;
  readonly limit: BucketLimit;
  readonly clock: Pick<Clock, "now">;
}

const retryAfterMsMin = 1_000;
/** Longer than that the estimate is worth nothing; who comes back too early is refused again. */
const retryAfterMsMax = 60_000;

export class Admission {
  readonly #options: AdmissionOptions;
  readonly #bucket: TokenBucket;
  #lastPlaceMs = 0;
  #admitted = 0;
  #refused = 0;

  constructor(options: AdmissionOptions) {
    this.#options = options;
    this.#bucket = new TokenBucket(options.limit, options.clock.now());
  }

  get admitted(): number {
    return this.#admitted;
  }

  get refused(): number {
    return this.#refused;
  }

  /** Throws `overloaded` (503 with Retry-After) over the rate. */
  admit(): void {
    const { clock, what, limit } = this.#options;
    const now = clock.now();
    if (this.#bucket.take(now) === 0) {
      this.#admitted += 1;
      return;
    }
    this.#refused += 1;
    this.#lastPlaceMs = Math.min(Math.max(this.#lastPlaceMs, now) + 1000 / limit.perSecond, now + retryAfterMsMax);
    throw new HlError("overloaded", `more than ${limit.perSecond} ${what} a second`, {
      retry_after_ms: Math.max(retryAfterMsMin, Math.round(this.#lastPlaceMs - now)),
    });
  }
}
