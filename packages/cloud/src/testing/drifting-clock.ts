import { systemClock, type Clock } from "@hl/core/clock.ts";

/** The real clock, which a test may put forward: times are later then, timers run as they did. */
export class DriftingClock implements Clock {
  driftMs = 0;

  now(): number {
    return systemClock.now() + this.driftMs;
  }

  wallMs(): number {
    return systemClock.wallMs() + this.driftMs;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return systemClock.sleep(ms, signal);
  }

  after(ms: number, callback: () => void): () => void {
    return systemClock.after(ms, callback);
  }
}
