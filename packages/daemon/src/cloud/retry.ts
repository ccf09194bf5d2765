import { BackoffWindows } from "@hl/core/backoff.ts";
import type { Clock } from "@hl/core/clock.ts";
import { errorText, type Logger } from "@hl/core/logger.ts";
import { HlError, type ErrorType } from "@hl/protocol/errors.ts";
import { CloudUnreachable } from "./http.ts";

/** A delay that doubles from the first to the last. */
export interface Doubling {
  readonly minMs: number;
  readonly maxMs: number;
}

/** The numbers are read at each failure: the cloud may have set others meanwhile. */
export interface RetryOptions extends Doubling {
  readonly clock: Clock;
  readonly random: () => number;
  readonly logger: Logger;
  /** Attempts in a row before the windows grow no more and the longest holds: what was asked for is put back until then. */
  readonly attemptsMax?: number | undefined;
  /** A success resets the back-off only where the next failure comes so much later; 0: any success does. */
  readonly healthyMs?: number | undefined;
  /** After the cloud refused us although our token was renewed; from 1 to 15 minutes where it is not given. */
  readonly refused?: Doubling | undefined;
  /** After the cloud said that this VM is revoked; from 5 to 60 minutes where it is not given. */
  readonly revoked?: Doubling | undefined;
  /** Told of every failure before the wait. */
  readonly onFailure?: ((error: unknown) => void) | undefined;
}

/** Nothing that a repetition soon could change: somebody has to act, here or there. */
const refusals = new Set<ErrorType>([
  "token_superseded",
  "enrollment_invalid",
  "identity_in_use",
  "protocol_unsupported",
]);

const refusedDefault: Doubling = { minMs: 60_000, maxMs: 900_000 };
const revokedDefault: Doubling = { minMs: 300_000, maxMs: 3_600_000 };

/** A VM that nobody has enrolled yet asks nobody: it looks for its token at the pace of the network's failures. */
export class NotEnrolled extends HlError {}

/**
 * Repeats something that talks to the cloud until the signal aborts (C3). How long it waits follows from what failed:
 *   network   windows that double (core/backoff.ts), the longest at once behind `attemptsMax`; also the first "unauthenticated", because the token is renewed then.
 *   asked     `Retry-After` counts, with up to half of it added, so that a fleet that was told the same stays apart.
 *   refused   long waits, because they end by what people do.
 *   revoked   longer ones: the VM only asks whether it is wanted again.
 * The log level rises with the delay, so that one blip wakes nobody.
 */
export class Retry {
  readonly #options: RetryOptions;
  readonly #windows: BackoffWindows;
  #succeededAt: number | undefined;
  #unauthenticated = 0;
  #refusals = 0;
  #revocations = 0;
  #wake: (() => void) | undefined;
  /** What the present wait is for; the others were asked for, or wait for people. */
  #isForNetwork = false;

  constructor(options: RetryOptions) {
    this.#options = options;
    this.#windows = new BackoffWindows({
      get minMs() {
        return options.minMs;
      },
      get maxMs() {
        return options.maxMs;
      },
      random: options.random,
      now: () => options.clock.now(),
      growingMax: options.attemptsMax,
    });
  }

  /** The cloud has answered. Where that has to last (`healthyMs`) it is the beginning of the time that counts. */
  succeeded(): void {
    this.#succeededAt = this.#options.clock.now();
    this.#unauthenticated = 0;
    this.#refusals = 0;
    this.#revocations = 0;
  }

  /** Ends the present wait: what it waited for has happened. */
  wake(): void {
    this.#wake?.();
  }

  /** The cloud has answered elsewhere: a wait for the network is over. One that a server asked for, or that is for people, goes on. */
  reached(): void {
    if (this.#isForNetwork) this.wake();
  }

  /**
   * Waits before the next attempt; returns early, without an error, when the signal aborts or somebody wakes it.
   * @param spreadMs instead of the back-off, uniform over so much: an announced stop, or 0 for at once.
   */
  async failed(error: unknown, what: string, signal: AbortSignal, spreadMs?: number): Promise<void> {
    if (signal.aborted) return;
    const { random, logger, maxMs, onFailure } = this.#options;
    onFailure?.(error);
    this.#isForNetwork = false;
    const pauseMs = spreadMs === undefined ? this.#pauseMs(error) : Math.round(random() * spreadMs);
    const fields = { error: errorText(error), retry_ms: pauseMs, attempt: this.#windows.attempt };
    if (spreadMs === undefined && pauseMs >= maxMs / 2) logger.error(fields, `${what} failed`);
    else if (this.#windows.attempt > 2) logger.warn(fields, `${what} failed`);
    else logger.info(fields, `${what} failed`);
    await this.#pause(pauseMs, signal);
  }

  #pauseMs(error: unknown): number {
    const { clock, healthyMs = 0, refused = refusedDefault, revoked = revokedDefault } = this.#options;
    if (this.#succeededAt !== undefined && clock.now() - this.#succeededAt >= healthyMs) this.#windows.reset();
    this.#succeededAt = undefined;
    if (error instanceof CloudUnreachable && error.retryAfterMs !== undefined) return this.#spread(error.retryAfterMs);
    if (!(error instanceof HlError) || error instanceof NotEnrolled) return this.#nextWindowMs();
    if (error.type === "instance_revoked") return this.#spread(doubled(revoked, this.#revocations++));
    if (refusals.has(error.type)) return this.#spread(doubled(refused, this.#refusals++));
    // The first time the token is renewed; refused again, a third one would not help.
    const again = error.type === "unauthenticated" && this.#unauthenticated++ > 0;
    return again ? this.#spread(doubled(refused, this.#refusals++)) : this.#nextWindowMs();
  }

  #nextWindowMs(): number {
    this.#isForNetwork = true;
    return this.#windows.nextMs();
  }

  /** At least so long, and up to half of it more. */
  #spread(ms: number): number {
    return ms + Math.round(this.#options.random() * ms * 0.5);
  }

  async #pause(ms: number, signal: AbortSignal): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<undefined>();
    const end = (): void => resolve(undefined);
    const cancel = this.#options.clock.after(ms, end);
    signal.addEventListener("abort", end, { once: true });
    this.#wake = end;
    await promise;
    this.#wake = undefined;
    signal.removeEventListener("abort", end);
    cancel();
  }
}

function doubled({ minMs, maxMs }: Doubling, times: number): number {
  return Math.min(maxMs, minMs * 2 ** Math.min(times, 30));
}
