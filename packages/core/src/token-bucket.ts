/** So many at once, so many a second on average. Pure arithmetic over a monotonic time in milliseconds. */
export interface BucketLimit {
  readonly perSecond: number;
  /** At least 1. */
  readonly burst: number;
}

export class TokenBucket {
  #limit: BucketLimit;
  #tokens: number;
  #atMs: number;

  constructor(limit: BucketLimit, nowMs: number) {
    this.#limit = limit;
    this.#tokens = limit.burst;
    this.#atMs = nowMs;
  }

  /** Another limit from now on; what was taken stays taken. */
  change(limit: BucketLimit, nowMs: number): void {
    this.#refill(nowMs);
    this.#limit = limit;
    this.#tokens = Math.min(limit.burst, this.#tokens);
  }

  /** 0 when there was a token, which is taken then; else the milliseconds until there is one. */
  take(nowMs: number): number {
    const waitMs = this.waitMs(nowMs);
    if (waitMs === 0) this.#tokens -= 1;
    return waitMs;
  }

  /** Milliseconds until there is a token; takes none. */
  waitMs(nowMs: number): number {
    this.#refill(nowMs);
    return this.#tokens >= 1 ? 0 : ((1 - this.#tokens) * 1000) / this.#limit.perSecond;
  }

  /** Takes a token in any case, also one that is still to come; answers the milliseconds until it has. For who waits instead of being refused. */
  reserve(nowMs: number): number {
    this.#refill(nowMs);
    this.#tokens -= 1;
    return this.#tokens >= 0 ? 0 : (-this.#tokens * 1000) / this.#limit.perSecond;
  }

  /** A reserved token that was not used after all. */
  giveBack(nowMs: number): void {
    this.#refill(nowMs);
    this.#tokens = Math.min(this.#limit.burst, this.#tokens + 1);
  }

  /** Nothing was taken of it for so long that it may be forgotten. */
  isFull(nowMs: number): boolean {
    this.#refill(nowMs);
    return this.#tokens >= this.#limit.burst;
  }

  #refill(nowMs: number): void {
    const { perSecond, burst } = this.#limit;
    this.#tokens = Math.min(burst, this.#tokens + ((nowMs - this.#atMs) * perSecond) / 1000);
    this.#atMs = nowMs;
  }
}
