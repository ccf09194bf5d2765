import type { Clock } from "../clock.ts";

/**
 * Back-pressure of one connection: senders wait while the gate is shut, and a gate that stays shut for
 * longer than the deadline gives the reader up (P5).
 */
export class WriteGate {
  readonly #clock: Clock;
  readonly #deadlineMs: number;
  readonly #expired: () => void;
  #shut: PromiseWithResolvers<void> | undefined;
  #cancelDeadline: (() => void) | undefined;

  constructor(clock: Clock, deadlineMs: number, expired: () => void) {
    this.#clock = clock;
    this.#deadlineMs = deadlineMs;
    this.#expired = expired;
  }

  /** Resolves at once while bytes flow, else when they flow again. */
  wait(full: boolean): Promise<void> {
    if (!full && this.#shut === undefined) return Promise.resolve();
    if (this.#shut === undefined) {
      this.#shut = Promise.withResolvers();
      this.#shut.promise.catch(() => {}); // Senders that do not wait do not want to hear of it either.
      this.#cancelDeadline = this.#clock.after(this.#deadlineMs, this.#expired);
    }
    return this.#shut.promise;
  }

  opened(): void {
    this.#cancelDeadline?.();
    this.#shut?.resolve();
    this.#shut = undefined;
  }

  closed(reason: string): void {
    this.#cancelDeadline?.();
    this.#shut?.reject(new Error(reason));
    this.#shut = undefined;
  }
}
