import { setImmediate } from "node:timers/promises";
import type { Clock } from "@hl/core/clock.ts";
import type { Steps } from "./salvage.ts";

type Now = Pick<Clock, "now">;

/** Runs them to their end. */
export function runAll<T>(steps: Steps<T>): T {
  for (;;) {
    const { done, value } = steps.next();
    if (done === true) return value;
  }
}

/** Runs them for so long; answers what they came to, or undefined while there is more to do. */
export function runFor<T>(steps: Steps<T>, clock: Now, ms: number): { readonly result: T } | undefined {
  const until = clock.now() + ms;
  do {
    const { done, value } = steps.next();
    if (done === true) return { result: value };
  } while (clock.now() < until);
  return undefined;
}

/** Runs them a slice at a time, so that the event loop goes on in between. Rejects when the signal aborts. */
export async function runInSlices<T>(steps: Steps<T>, clock: Now, sliceMs: number, signal: AbortSignal): Promise<T> {
  try {
    for (;;) {
      await setImmediate();
      signal.throwIfAborted();
      const finished = runFor(steps, clock, sliceMs);
      if (finished !== undefined) return finished.result;
    }
  } finally {
    steps.return(undefined as T); // What it holds is closed, however it ends.
  }
}
