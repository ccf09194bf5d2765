import { BucketTable } from "@hl/core/bucket-table.ts";
import type { Clock } from "@hl/core/clock.ts";
import type { GrowthStrategy } from "@hl/core/growth.ts";
import type { BucketLimit } from "@hl/core/token-bucket.ts";
import { HlError } from "@hl/protocol/errors.ts";
import type { Caller } from "@hl/protocol/method.ts";

/** `local_api.rate_limiting`. */
export interface CallerRate {
  readonly requestsPerMinute: number;
  readonly burst: number;
  readonly strategy: GrowthStrategy;
}

/** Of each kind; what is over it shares one bucket (core/bucket-table.ts). An entry takes about 200 bytes. */
const bucketsMax = 4_096;

/**
 * How often each caller may ask (DESIGN 6): one bucket for each token or certificate, and for those who have proved nothing one for each address.
 * The local admin token is exempt. A stranger pays only for what is refused, so that a good token costs its address nothing.
 */
export class CallerLimits {
  readonly #callers: BucketTable;
  readonly #strangers: BucketTable;
  #rate: CallerRate;

  constructor(rate: CallerRate, clock: Pick<Clock, "now">) {
    this.#rate = rate;
    const options = { limit: bucketLimitOf(rate), strategy: rate.strategy, clock, bucketsMax };
    this.#callers = new BucketTable(options);
    this.#strangers = new BucketTable(options);
  }

  /** Another rate from now on, for everybody who is known too. */
  change(rate: CallerRate): void {
    this.#rate = rate;
    for (const table of [this.#callers, this.#strangers]) table.change(bucketLimitOf(rate), rate.strategy);
  }

  /** One request of a caller; throws `rate_limited` over the rate. */
  request(caller: Caller): void {
    const key = limitedAs(caller);
    if (key === undefined) return;
    const waitMs = this.#callers.take(key);
    if (waitMs > 0) throw this.#refusal(waitMs, caller.subject);
  }

  /** Whether `request` would throw: asked before something is read for the caller. */
  isOver(caller: Caller): boolean {
    const key = limitedAs(caller);
    return key !== undefined && this.#callers.isEmpty(key);
  }

  /** One message that is refused to somebody who has proved nothing; throws `rate_limited` over the rate. */
  stranger(address: string): void {
    const waitMs = this.#strangers.take(address);
    if (waitMs > 0) throw this.#refusal(waitMs, "one address without a valid token");
  }

  /** To be asked before a proof is checked that costs more than a comparison: an address over its rate has to wait. */
  isStrangerOver(address: string): boolean {
    return this.#strangers.isEmpty(address);
  }

  #refusal(waitMs: number, who: string): HlError {
    const { requestsPerMinute, burst } = this.#rate;
    const text = `${who} may send ${requestsPerMinute} requests a minute, ${burst} at once`;
    return new HlError("rate_limited", text, { retry_after_ms: Math.ceil(waitMs) });
  }
}

/** Under which name its limits are kept. Undefined is exempt: the local admin token, and what is no caller of a local interface. */
export function limitedAs({ credential, subject }: Caller): string | undefined {
  return credential === undefined ? undefined : `${credential} ${subject}`;
}

function bucketLimitOf({ requestsPerMinute, burst }: CallerRate): BucketLimit {
  return { perSecond: requestsPerMinute / 60, burst };
}
