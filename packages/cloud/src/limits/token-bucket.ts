/** So many at once, so many a second on average. Pure arithmetic over a monotonic time in milliseconds. */
export interface BucketLimit {
  readonly perSecond: number;
  /** At least 1. */
  readonly burst: number;
}

export class TokenBucket {
  readonly #limit: BucketLimit;
  #tokens: number;
  #atMs: number;

  constructor(limit: BucketLimit, nowMs: number) {
    this.#limit = limit;
    this.#tokens = limit.burst;
    this.#atMs = nowMs;
  }

  /** 0 when there was a token, which is taken then; else the milliseconds until there is one. */
  take(nowMs: number): number {
    this.#refill(nowMs);
    if (this.#tokens >= 1) {
      this.#tokens -= 1;
      return 0;
    }
    return ((1 - this.#tokens) * 1000) / this.#limit.perSecond;
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
