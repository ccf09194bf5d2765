import type { Clock } from "@hl/core/clock.ts";
import { grownMs, type GrowthStrategy } from "@hl/core/growth.ts";
import { TokenBucket } from "@hl/core/token-bucket.ts";

/** `cloud_api.rate_limiting`. */
export interface PaceOptions {
  readonly requestsPerMinute: number;
  readonly burst: number;
  readonly strategy: GrowthStrategy;
}

/** The first wait after a 429 that does not say how long. */
const refusedMsMin = 1_000;

/** The pace of the daemon's own requests to the cloud: one over it waits its turn, in order, and none is refused. */
export class RequestPace {
  readonly #clock: Clock;
  readonly #bucket: TokenBucket;
  #options: PaceOptions;
  #refusedInARow = 0;

  constructor(options: PaceOptions, clock: Clock) {
    this.#options = options;
    this.#clock = clock;
    this.#bucket = new TokenBucket(limitOf(options), clock.now());
  }

  /** Another pace from now on; who waits already keeps his turn. */
  change(options: PaceOptions): void {
    this.#options = options;
    this.#bucket.change(limitOf(options), this.#clock.now());
  }

  /** Resolves when the next request may go; rejects with the signal's reason, and then the turn is somebody else's. */
  async turn(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const waitMs = this.#bucket.reserve(this.#clock.now());
    if (waitMs === 0) return;
    try {
      await this.#clock.sleep(waitMs, signal);
    } catch (error) {
      this.#bucket.giveBack(this.#clock.now());
      throw error;
    }
  }

  /** The cloud has answered a request, however. */
  accepted(): void {
    this.#refusedInARow = 0;
  }

  /** The cloud has refused one for its rate (429): how long to wait where it did not say. */
  refused(waitMaxMs: number): number {
    this.#refusedInARow += 1;
    const firstMs = Math.max(refusedMsMin, 60_000 / this.#options.requestsPerMinute);
    return grownMs(this.#options.strategy, firstMs, this.#refusedInARow, waitMaxMs);
  }
}

function limitOf({ requestsPerMinute, burst }: PaceOptions): { perSecond: number; burst: number } {
  return { perSecond: requestsPerMinute / 60, burst };
}
