import type { Clock } from "@hl/core/clock.ts";

export interface ClockWatchOptions {
  readonly clock: Pick<Clock, "now" | "wallMs">;
  /** A smaller difference is the work of a time service. */
  readonly jumpMs: number;
  /** @param forwardMs how far the wall clock jumped; negative where it was set back */
  readonly onJump: (forwardMs: number) => void;
}

/**
 * Compares the wall clock with the monotonic one, which stands still while the machine sleeps: what they differ by since the last
 * look is a suspend, a snapshot that was resumed, or a clock that was set. Others call `check` from timers that they have anyway.
 */
export class ClockWatch {
  readonly #options: ClockWatchOptions;
  #offsetMs: number;

  constructor(options: ClockWatchOptions) {
    this.#options = options;
    this.#offsetMs = options.clock.wallMs() - options.clock.now();
  }

  check(): void {
    const { clock, jumpMs, onJump } = this.#options;
    const offsetMs = clock.wallMs() - clock.now();
    const forwardMs = offsetMs - this.#offsetMs;
    this.#offsetMs = offsetMs;
    if (Math.abs(forwardMs) > jumpMs) onJump(forwardMs);
  }
}
