/**
 * Time as a parameter. This file is the only user of the real timers and clocks, so that tests can drive time by hand.
 */
export interface Clock {
  /** Monotonic milliseconds with a fraction; for durations and deadlines, never for people. */
  now(): number;
  /** Wall clock in milliseconds since 1970; for people and for the wire, never for ordering (S3). */
  wallMs(): number;
  /** Resolves after `ms`; rejects with the signal's reason as soon as the signal aborts. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
  /** Calls back once after `ms`; the returned function cancels and may be called at any time. */
  after(ms: number, callback: () => void): () => void;
}

/** Node clamps longer timers to one millisecond, which would turn "very late" into "at once". */
const timerMsMax = 2_147_483_647;

export const systemClock: Clock = {
  now: () => performance.now(),
  wallMs: () => Date.now(),
  sleep: (ms, signal) =>
    new Promise((resolve, reject) => {
      if (signal?.aborted === true) {
        reject(signal.reason as Error);
        return;
      }
      const onAbort = (): void => {
        clearTimeout(timer);
        reject(signal?.reason as Error);
      };
      const timer = setTimeout(
        () => {
          signal?.removeEventListener("abort", onAbort);
          resolve();
        },
        Math.min(ms, timerMsMax),
      );
      signal?.addEventListener("abort", onAbort, { once: true });
    }),
  after: (ms, callback) => {
    const timer = setTimeout(callback, Math.min(ms, timerMsMax));
    return () => clearTimeout(timer);
  },
};
