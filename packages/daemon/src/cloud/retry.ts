import { Backoff } from "@hl/core/backoff.ts";
import type { Clock } from "@hl/core/clock.ts";
import { errorText, type Logger } from "@hl/core/logger.ts";
import { CloudUnreachable } from "./http.ts";

export interface RetryOptions {
  readonly clock: Clock;
  readonly random: () => number;
  readonly minMs: number;
  readonly maxMs: number;
  readonly logger: Logger;
}

/**
 * Repeats something that talks to the cloud until the signal aborts (C3). The log level rises with the delay, so that one
 * blip wakes nobody. A delay that the server asks for counts at least; jitter on top keeps a fleet apart.
 */
export class Retry {
  readonly #options: RetryOptions;
  readonly #backoff: Backoff;

  constructor(options: RetryOptions) {
    this.#options = options;
    this.#backoff = new Backoff(options);
  }

  succeeded(): void {
    this.#backoff.reset();
  }

  /** Waits before the next attempt; returns early, without an error, when the signal aborts. */
  async failed(error: unknown, what: string, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return;
    const { clock, random, logger, maxMs } = this.#options;
    const asked = error instanceof CloudUnreachable ? error.retryAfterMs : undefined;
    const pauseMs = asked === undefined ? this.#backoff.nextMs() : asked + Math.round(random() * asked * 0.5);
    const fields = { error: errorText(error), retry_ms: pauseMs, attempt: this.#backoff.attempt };
    if (pauseMs >= maxMs / 2) logger.error(fields, `${what} failed`);
    else if (this.#backoff.attempt > 2) logger.warn(fields, `${what} failed`);
    else logger.info(fields, `${what} failed`);
    await clock.sleep(pauseMs, signal).catch(() => {});
  }
}
