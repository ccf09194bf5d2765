import type { Clock } from "./clock.ts";

export interface BoundedReportsOptions<T> {
  readonly clock: Clock;
  readonly windowMs: number;
  /** Different ones that are told in one window. */
  readonly toldMax: number;
  /** What makes two of them the same. */
  readonly keyOf: (thing: T) => string;
  readonly tell: (thing: T) => void;
  /** So many were not told in the window that has just ended; never zero. */
  readonly tellRest: (count: number) => void;
}

/**
 * Tells what others cause without giving them a way to fill the log or the disk, which may be a thousand times a second. In each
 * window the first of a kind is told, up to a number of kinds, and the rest is counted (S2).
 */
export class BoundedReports<T> implements Disposable {
  readonly #options: BoundedReportsOptions<T>;
  readonly #told = new Set<string>();
  #untold = 0;
  #cancel: (() => void) | undefined;

  constructor(options: BoundedReportsOptions<T>) {
    this.#options = options;
  }

  report(thing: T): void {
    const { clock, windowMs, toldMax, keyOf, tell } = this.#options;
    this.#cancel ??= clock.after(windowMs, () => this.#endWindow());
    const key = keyOf(thing);
    if (this.#told.has(key) || this.#told.size >= toldMax) {
      this.#untold += 1;
      return;
    }
    this.#told.add(key);
    tell(thing);
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
