/**
 * Waiting in tests against real programs. What announces itself is awaited with `within`; what does not (a process that is
 * gone, a file, an exit code that will change) is asked for again with `until`. Both end with what they waited for.
 */
import { systemClock } from "@hl/core/clock.ts";

/** Generous on purpose: it is reached only by a failure, and machines that run tests are busy. */
export const waitMsMax = 30_000;

const askAgainMs = 20;

/** The promise's outcome; rejects with `what` when there is none in time. */
export async function within<T>(what: string, promise: Promise<T>, ms: number = waitMsMax): Promise<T> {
  const late = Promise.withResolvers<never>();
  const cancel = systemClock.after(ms, () => late.reject(new Error(`nothing within ${ms} ms: ${what}`)));
  try {
    return await Promise.race([promise, late.promise]);
  } finally {
    cancel();
  }
}

/** The first answer of `probe` that is neither undefined nor false. The failure shows its last answer or error. */
export async function until<T>(
  what: string,
  probe: () => T | undefined | false | Promise<T | undefined | false>,
  ms: number = waitMsMax,
): Promise<T> {
  const deadline = systemClock.now() + ms;
  let seen: unknown;
  for (;;) {
    try {
      const answer = await probe();
      if (answer !== undefined && answer !== false) return answer;
      seen = answer;
    } catch (error) {
      seen = error;
    }
    if (systemClock.now() > deadline) throw new Error(`not within ${ms} ms: ${what}; last seen: ${String(seen)}`);
    await systemClock.sleep(askAgainMs);
  }
}
