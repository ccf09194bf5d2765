import type { LogRead } from "./log-cursor.ts";
import type { OutputSource } from "./output-source.ts";

/** A piece of the log, or a gap at its very end; with the position at which it was expected to begin. */
export interface FollowedRead extends LogRead {
  readonly expectedAt: number;
}

/**
 * Yields the log from `from` on as it grows, at most `bytesMax` at a time, until the run has ended and everything was delivered, or the signal aborts.
 * The consumer's pace is its own: while it is busy nothing is read and nothing is buffered (P5). Nothing polls.
 */
export async function* followRun(
  run: OutputSource,
  from: number,
  signal: AbortSignal,
  bytesMax?: number,
): AsyncGenerator<FollowedRead, void> {
  await using cursor = run.cursor(from);
  const growth = new Growth(run, signal);
  try {
    while (!signal.aborted) {
      const { isComplete } = run; // Before the read: what was written until then is then surely read.
      const expectedAt = cursor.offset;
      const { position } = run.output;
      const read = await cursor.read(position, bytesMax);
      if (read.chunks.length > 0 || read.gapBytes > 0) {
        try {
          yield { ...read, expectedAt };
        } finally {
          read.release();
        }
      } else if (isComplete) {
        // No record follows that could tell of it: what was announced and is not there was lost (P5, S2).
        if (position > expectedAt) yield { ...read, gapBytes: position - expectedAt, expectedAt };
        return;
      } else await growth.next();
    }
  } finally {
    growth.stop();
  }
}

/** Remembers growth between two waits, so that none is missed while the consumer is busy. */
class Growth {
  readonly #stop: () => void;
  #grown = false;
  #wake: (() => void) | undefined;

  constructor(run: OutputSource, signal: AbortSignal) {
    const wake = (): void => {
      this.#grown = true;
      this.#wake?.();
    };
    const stopListening = run.onOutput(wake);
    signal.addEventListener("abort", wake, { once: true });
    this.#stop = () => {
      stopListening();
      signal.removeEventListener("abort", wake);
    };
  }

  async next(): Promise<void> {
    if (!this.#grown) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    this.#grown = false;
    this.#wake = undefined;
  }

  stop(): void {
    this.#stop();
  }
}
