import { randomUUID } from "node:crypto";
import type { Clock } from "@hl/core/clock.ts";
import type { Urgency } from "@hl/core/store/group-commit.ts";
import { HlError } from "@hl/protocol/errors.ts";
import type { EventBody } from "@hl/protocol/methods/event-stream.ts";
import type { StoredEvent } from "@hl/protocol/methods/event-subscribe.ts";
import type { EventSpool, SpooledEvent } from "../store/event-spool.ts";

export interface EventsOptions {
  readonly spool: EventSpool;
  readonly clock: Clock;
  readonly queueEventsMax: number;
  readonly queueBytesMax: number;
  readonly eventBytesMax: number;
  /** What the daemon itself emits; callers may send any type. */
  readonly emittedTypes: readonly string[];
  readonly onStoreError: (error: unknown) => void;
}

/**
 * The door to the spool. An event is accepted only after it is durable (S1); one that cannot be kept is refused with the
 * reason and counted (S2).
 */
export class Events {
  readonly #options: EventsOptions;
  readonly #listeners = new Set<() => void>();
  #waitingBytes = 0;
  #waiting = 0;
  #rejected = 0;

  constructor(options: EventsOptions) {
    this.#options = options;
  }

  /** Refused since the start. */
  get rejected(): number {
    return this.#rejected;
  }

  get epoch(): string {
    return this.#options.spool.epoch;
  }

  get nextSeq(): number {
    return this.#options.spool.nextSeq;
  }

  async accept(event: EventBody, urgency: Urgency = "now"): Promise<void> {
    const { spool, queueEventsMax, queueBytesMax, eventBytesMax } = this.#options;
    const body = JSON.stringify(event);
    const size = Buffer.byteLength(body);
    if (size > eventBytesMax) {
      this.#rejected += 1;
      const text = `the event has ${size} bytes, ${eventBytesMax} are allowed`;
      throw new HlError("event_invalid", text, {
        event_id: event.event_id,
        bytes: size,
        max_event_bytes: eventBytesMax,
      });
    }
    const { depth, bytes } = spool;
    if (depth + this.#waiting >= queueEventsMax || bytes + this.#waitingBytes + size > queueBytesMax) {
      this.#rejected += 1;
      const text = `the spool is full: ${depth} events, ${bytes} bytes`;
      throw new HlError("queue_full", text, { event_id: event.event_id, status: "rejected", depth, bytes });
    }
    this.#waiting += 1;
    this.#waitingBytes += size;
    try {
      await spool.append({ id: event.event_id, type: event.event_type, body }, urgency);
    } catch (error) {
      this.#rejected += 1; // The caller hears why; the counter says that something was not kept (S2).
      throw error;
    } finally {
      this.#waiting -= 1;
      this.#waitingBytes -= size;
    }
    for (const listener of this.#listeners) listener();
  }

  /** Whether the daemon's own events of this type are selected. */
  emits(type: string): boolean {
    return this.#options.emittedTypes.includes(type);
  }

  /**
   * Emits one of the daemon's own events, if its type is selected. The caller does not wait and cannot fail by it.
   * @param id of one that may be told again after a crash: the same each time (S1)
   */
  emit(type: string, data: unknown, severity: EventBody["severity"] = "info", id: string = randomUUID()): void {
    this.emitOnce(id, type, data, severity).catch((error: unknown) => this.#options.onStoreError(error));
  }

  /**
   * The same for one that has to arrive: rejects when it could not be stored, and may be tried again with the same id. What the spool
   * has no room for is refused for good, and counted (S2).
   */
  async emitOnce(id: string, type: string, data: unknown, severity: EventBody["severity"] = "info"): Promise<void> {
    if (!this.emits(type)) return;
    const timestamp = this.#options.clock.wallMs() / 1000;
    const event = { event_id: id, event_type: type, timestamp, data, severity };
    await this.accept(event, "soon").catch((error: unknown) => {
      if (!(error instanceof HlError)) throw error;
    });
  }

  /** Calls back after every accepted event; the returned function stops that. */
  onAccepted(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Sends events from behind `after` as they are accepted, until the signal aborts. */
  async follow(
    options: Readonly<{ after: number; types: readonly string[] | undefined }>,
    notify: (method: string, params: unknown) => Promise<void>,
    signal: AbortSignal,
  ): Promise<void> {
    const { spool } = this.#options;
    let cursor = options.after;
    const stopped = (): boolean => signal.aborted; // It changes while a notification is on its way.
    let wake = (): void => {};
    const stop = this.onAccepted(() => wake());
    signal.addEventListener("abort", () => wake(), { once: true });
    try {
      while (!signal.aborted) {
        const grown = new Promise<void>((resolve) => (wake = resolve));
        const oldest = spool.oldestSeq();
        const events = spool.after(cursor, 100);
        const first = events[0]?.seq ?? oldest;
        if (first !== undefined && first > cursor + 1 && oldest === first) {
          await notify("event/gap", { from: cursor + 1, to: first - 1 });
        }
        for (const event of events) {
          if (stopped()) return;
          cursor = event.seq;
          if (options.types === undefined || options.types.includes(event.type)) {
            await notify("event/event", this.stored(event));
          }
        }
        if (events.length === 0) await grown;
      }
    } finally {
      stop();
    }
  }

  stored(event: SpooledEvent): StoredEvent {
    return { ...(JSON.parse(event.body) as EventBody), epoch: this.epoch, seq: event.seq };
  }
}
