/**
 * A time limit whose clock can stand still, for a turn that waits for a person.
 *
 * States: `running`, `paused` (as often as it was paused and not yet resumed), `over` (expired or cancelled, for good).
 */
import type { Clock } from "@hl/core/clock.ts";

export class PausableDeadline {
  readonly #clock: Clock;
  readonly #onExpired: () => void;
  #remainingMs: number;
  #startedAt = 0;
  #cancelTimer: (() => void) | undefined;
  #pauses = 0;
  #over = false;

  /** `start()` starts it. */
  constructor(clock: Clock, ms: number, onExpired: () => void) {
    this.#clock = clock;
    this.#remainingMs = ms;
    this.#onExpired = onExpired;
  }

  start(): void {
    this.#run();
  }

  pause(): void {
    this.#pauses += 1;
    if (this.#cancelTimer === undefined) return;
    this.#cancelTimer();
    this.#cancelTimer = undefined;
    this.#remainingMs = Math.max(0, this.#remainingMs - (this.#clock.now() - this.#startedAt));
  }

  resume(): void {
    this.#pauses -= 1;
    this.#run();
  }

  cancel(): void {
    this.#over = true;
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
  }

  #run(): void {
    if (this.#over || this.#pauses > 0 || this.#cancelTimer !== undefined) return;
    this.#startedAt = this.#clock.now();
    this.#cancelTimer = this.#clock.after(this.#remainingMs, () => {
      this.cancel();
      this.#onExpired();
    });
  }
}
