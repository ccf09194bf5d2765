import type { Clock } from "@hl/core/clock.ts";
import type { Caller } from "./method.ts";

/** What a caller is told whose token or certificate was valid, and is no longer. */
export const expiredText = "the token or certificate has expired: authenticate with a new one";

export function hasExpired({ expiresAtMs }: Caller, clock: Pick<Clock, "wallMs">): boolean {
  return expiresAtMs !== undefined && clock.wallMs() >= expiresAtMs;
}

/** A timer does not see that the machine slept or that its clock was set: after so long at the latest it is looked at again. */
const lookAgainMs = 60_000;

/** Calls back once when the wall clock has reached `expiresAtMs`, at once where it has; the answer cancels. */
export function untilExpiry(clock: Clock, expiresAtMs: number, onExpired: () => void): () => void {
  let cancel = (): void => {};
  const look = (): void => {
    const leftMs = expiresAtMs - clock.wallMs();
    if (leftMs <= 0) onExpired();
    else cancel = clock.after(Math.min(leftMs, lookAgainMs), look);
  };
  look();
  return () => cancel();
}
