import type { Clock } from "./clock.ts";
import { grownMs, type GrowthStrategy } from "./growth.ts";
import { TokenBucket, type BucketLimit } from "./token-bucket.ts";

/**
 * A token bucket for each key, in bounded memory (P7).
 *
 * The least recently used come first, and those of them that are full are forgotten when a new key comes: a full bucket is as good as none. One
 * that is not full is never forgotten, because that would give its owner a new burst. So when `bucketsMax` are in use, new keys share one
 * bucket: whoever has many keys shuts out himself and other newcomers, and neither those who are known nor the limit.
 */
export interface BucketTableOptions {
  readonly limit: BucketLimit;
  readonly clock: Pick<Clock, "now">;
  readonly bucketsMax: number;
  /** How the wait that a refusal names grows with refusals in a row; `constant` where it is not given. */
  readonly strategy?: GrowthStrategy | undefined;
}

interface Entry {
  readonly bucket: TokenBucket;
  refusedInARow: number;
}

/** No refusal names a longer wait, unless a single token takes longer. */
const waitMsMax = 60_000;

export class BucketTable {
  readonly #clock: Pick<Clock, "now">;
  readonly #bucketsMax: number;
  readonly #entries = new Map<string, Entry>();
  #limit: BucketLimit;
  #strategy: GrowthStrategy;
  /** For keys that have no room. */
  #shared: Entry;

  constructor(options: BucketTableOptions) {
    this.#clock = options.clock;
    this.#bucketsMax = options.bucketsMax;
    this.#limit = options.limit;
    this.#strategy = options.strategy ?? "constant";
    this.#shared = entryOf(options.limit, 0);
  }

  /** Keys that are remembered: those that have asked lately. */
  get size(): number {
    return this.#entries.size;
  }

  /** Another limit for all, from now on. */
  change(limit: BucketLimit, strategy: GrowthStrategy): void {
    const now = this.#clock.now();
    this.#limit = limit;
    this.#strategy = strategy;
    for (const { bucket } of [...this.#entries.values(), this.#shared]) bucket.change(limit, now);
  }

  /** 0 when the key may; else the milliseconds to wait, longer with each refusal in a row. */
  take(key: string): number {
    const now = this.#clock.now();
    const entry = this.#entryOf(key, now);
    const waitMs = entry.bucket.take(now);
    if (waitMs === 0) {
      entry.refusedInARow = 0;
      return 0;
    }
    entry.refusedInARow += 1;
    return grownMs(this.#strategy, waitMs, entry.refusedInARow, waitMsMax);
  }

  /** Whether `take` would refuse the key now. Takes nothing and remembers nothing. */
  isEmpty(key: string): boolean {
    const known = this.#entries.get(key);
    if (known === undefined && this.#entries.size < this.#bucketsMax) return false;
    return (known ?? this.#shared).bucket.waitMs(this.#clock.now()) > 0;
  }

  #entryOf(key: string, now: number): Entry {
    let entry = this.#entries.get(key);
    if (entry === undefined) {
      this.#forgetFull(now);
      if (this.#entries.size >= this.#bucketsMax) return this.#shared;
      entry = entryOf(this.#limit, now);
    } else {
      this.#entries.delete(key);
    }
    this.#entries.set(key, entry); // The most recently used is the last.
    return entry;
  }

  /** Each that goes was once added, so this is a constant number of steps a new key on average. */
  #forgetFull(now: number): void {
    for (const [key, { bucket }] of this.#entries) {
      if (!bucket.isFull(now)) return;
      this.#entries.delete(key);
    }
  }
}

function entryOf(limit: BucketLimit, nowMs: number): Entry {
  return { bucket: new TokenBucket(limit, nowMs), refusedInARow: 0 };
}
