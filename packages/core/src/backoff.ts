/**
 * Exponential back-off with full jitter (C3): the n-th delay is uniform between 0 and min(maxMs, minMs × 2ⁿ),
 * so that a fleet that lost its server at one moment does not return at one moment.
 */
export interface BackoffOptions {
  readonly minMs: number;
  readonly maxMs: number;
  /** Uniform in [0, 1); injected so that tests are repeatable. */
  readonly random: () => number;
}

export class Backoff {
  readonly #options: BackoffOptions;
  #attempt = 0;

  constructor(options: BackoffOptions) {
    this.#options = options;
  }

  /** How many delays have been handed out since the last reset. */
  get attempt(): number {
    return this.#attempt;
  }

  nextMs(): number {
    const { minMs, maxMs, random } = this.#options;
    const windowMs = Math.min(maxMs, minMs * 2 ** Math.min(this.#attempt, 30));
    this.#attempt += 1;
    return Math.round(random() * windowMs);
  }

  reset(): void {
    this.#attempt = 0;
  }
}

export interface WindowsOptions extends BackoffOptions {
  /** Monotonic milliseconds. */
  readonly now: () => number;
  /** So many windows grow; each one behind them is the longest. Without it all grow, up to that. */
  readonly growingMax?: number | undefined;
}

/**
 * Exponential back-off over windows that follow each other (C3): an attempt comes at any moment of its window, and the next
 * window begins when this one has ended. Full jitter alone would add up delays, whose sum crowds around its middle.
 */
export class BackoffWindows {
  readonly #options: WindowsOptions;
  #attempt = 0;
  #endsAt = Number.NEGATIVE_INFINITY;

  constructor(options: WindowsOptions) {
    this.#options = options;
  }

  /** How many windows have begun since the last reset. */
  get attempt(): number {
    return this.#attempt;
  }

  /** From now until the next attempt. */
  nextMs(): number {
    const { minMs, maxMs, random, now, growingMax = Number.POSITIVE_INFINITY } = this.#options;
    const grown = Math.min(maxMs, minMs * 2 ** Math.min(this.#attempt, 30));
    const windowMs = this.#attempt < growingMax ? grown : maxMs;
    const startsAt = Math.max(now(), this.#endsAt);
    this.#attempt += 1;
    this.#endsAt = startsAt + windowMs;
    return Math.round(startsAt - now() + random() * windowMs);
  }

  /** The next window is the first one again, and begins at once. */
  reset(): void {
    this.#attempt = 0;
    this.#endsAt = Number.NEGATIVE_INFINITY;
  }
}
