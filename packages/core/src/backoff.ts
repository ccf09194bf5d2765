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
