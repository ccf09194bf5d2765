import type { Clock } from "@hl/core/clock.ts";

export interface RefusalReportsOptions<T> {
  readonly clock: Clock;
  readonly windowMs: number;
  /** Different refusals that are told in one window. */
  readonly toldMax: number;
  /** What makes two of them the same. */
  readonly keyOf: (refusal: T) => string;
  readonly tell: (refusal: T) => void;
  /** So many were not told in the window that has just ended; never zero. */
  readonly tellRest: (count: number) => void;
}

/**
 * Tells of refusals without becoming a way to fill the log and the spool: a program can be refused a thousand times a second. In each
 * window the first of a kind is told, up to a number of kinds, and the rest is counted (S2).
 */
export class RefusalReports<T> implements Disposable {
  readonly #options: RefusalReportsOptions<T>;
  readonly #told = new Set<string>();
  #untold = 0;
  #cancel: (() => void) | undefined;

  constructor(options: RefusalReportsOptions<T>) {
    this.#options = options;
  }

  report(refusal: T): void {
    const { clock, windowMs, toldMax, keyOf, tell } = this.#options;
    this.#cancel ??= clock.after(windowMs, () => this.#endWindow());
    const key = keyOf(refusal);
    if (this.#told.has(key) || this.#told.size >= toldMax) {
      this.#untold += 1;
      return;
    }
    this.#told.add(key);
    tell(refusal);
  }

  [Symbol.dispose](): void {
    this.#cancel?.();
    this.#endWindow();
  }

  #endWindow(): void {
    const untold = this.#untold;
    this.#cancel = undefined;
    this.#told.clear();
    this.#untold = 0;
    if (untold > 0) this.#options.tellRest(untold);
  }
}
