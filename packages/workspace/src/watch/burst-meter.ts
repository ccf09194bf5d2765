import { readFileSync } from "node:fs";

/**
 * Notices that the kernel may have dropped events. Node does not say so: libuv passes over IN_Q_OVERFLOW. But a queue that overflowed was full,
 * and all of a full queue is delivered in one turn of the event loop. So a turn that brings half of a queue's events counts as an
 * overflow: now and then one too many is told, and never one too few (S2). One for the process, as there is one queue for it.
 */
export class BurstMeter {
  readonly #eventsMax: number;
  readonly #onOverflow: () => void;
  #events = 0;

  constructor(eventsMax: number, onOverflow: () => void) {
    this.#eventsMax = eventsMax;
    this.#onOverflow = onOverflow;
  }

  note(): void {
    if (this.#events === 0) setImmediate(() => (this.#events = 0));
    this.#events += 1;
    if (this.#events === this.#eventsMax) this.#onOverflow();
  }
}

/** The kernel's own default, where it does not say. */
const queuedEventsDefault = 16_384;

export function burstEventsMax(): number {
  try {
    const most = Number(readFileSync("/proc/sys/fs/inotify/max_queued_events", "utf8"));
    return Math.max(2, Math.floor((most > 0 ? most : queuedEventsDefault) / 2));
  } catch {
    return queuedEventsDefault / 2;
  }
}
