import type { Clock } from "./clock.ts";

/**
 * A signal that aborts with an error after a time. Disposed before, it leaves no timer behind, where `AbortSignal.timeout` of a request that
 * was answered long ago would still wake an idle process.
 */
export class Deadline implements Disposable {
  readonly #late = new AbortController();
  readonly #cancel: () => void;

  /** @param text what the signal's reason says */
  constructor(clock: Pick<Clock, "after">, ms: number, text: string) {
    this.#cancel = clock.after(ms, () => this.#late.abort(new Error(text)));
  }

  get signal(): AbortSignal {
    return this.#late.signal;
  }

  [Symbol.dispose](): void {
    this.#cancel();
  }
}
