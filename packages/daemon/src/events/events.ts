import { randomUUID } from "node:crypto";
import type { Clock } from "@hl/core/clock.ts";
import type { Urgency } from "@hl/core/store/group-commit.ts";
import { HlError, type ErrorType } from "@hl/protocol/errors.ts";
import { laneOf, laneOfCaller, type Lane } from "@hl/protocol/event-lanes.ts";
import type { EventBody } from "@hl/protocol/methods/event-stream.ts";
import type { StoredEvent } from "@hl/protocol/methods/event-subscribe.ts";
import type { EventSpool } from "../store/event-spool.ts";
import { spoolTextOf, type SpoolText } from "../store/spool-text.ts";
import { StoreRefusal } from "../store/store-refusal.ts";
import type { SpooledEvent } from "../store/spooled-event.ts";
import type { Room } from "../store/lane-use.ts";
import { GapLedger } from "./gap-ledger.ts";
import {
  admissionOf,
  hasRoomForStarts,
  type Admission,
  type LaneLoad,
  type Loads,
  type QueueLimits,
} from "./quotas.ts";

export interface Redaction {
  /** Whether a secret is in a text that cannot be changed. */
  holdsSecret(text: string): boolean;
  /** The same value where there is none in it. */
  redact(value: unknown): unknown;
}

/** Whose an event is: it decides over its lane, and whether somebody waits for it. */
type Origin = "caller" | "daemon";

export interface EventsOptions {
  readonly spool: EventSpool;
  readonly clock: Clock;
  readonly queueEventsMax: number;
  readonly queueBytesMax: number;
  readonly eventBytesMax: number;
  /** What the daemon itself emits; callers may send any type. */
  readonly emittedTypes: readonly string[];
  readonly onStoreError: (error: unknown) => void;
  /** Takes out what must not leave the daemon (X4). */
  readonly redaction: Redaction;
  /** Why only critical events are taken at present; undefined when all are (S4). */
  readonly noSpace?: (() => string | undefined) | undefined;
}

/**
 * The door to the spool. An event is accepted only after it is durable (S1); one that cannot be kept is refused with the
 * reason and counted, and of the daemon's own a gap says so (S2).
 */
export class Events implements Disposable {
  readonly #options: EventsOptions;
  readonly #listeners = new Set<() => void>();
  readonly #inFlight = new Map<Lane, LaneLoad>();
  readonly #lost: GapLedger;
  #rejected = 0;

  constructor(options: EventsOptions) {
    this.#options = options;
    const hasRoom = (): boolean => this.#admission("critical", gapBytesMax).kind === "take";
    this.#lost = new GapLedger({ clock: options.clock, hasRoom, tell: (gap) => options.spool.appendGap(gap) });
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

  /** Throws where nothing new may be started, because there is no room for the events that it brings (S2). */
  assertRoomForStarts(): void {
    if (hasRoomForStarts(this.#limits, this.#loads())) return;
    const { depth, bytes } = this.#options.spool;
    const text = `the spool has no room for what a start and an end bring: ${depth} events, ${bytes} bytes wait for the cloud`;
    throw new HlError("queue_full", text, { depth, bytes });
  }

  /** A caller's event. Resolves with its sequence number when it is durable. */
  accept(event: EventBody): Promise<number> {
    return this.#accept(event, "caller");
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
    this.emitOnce(id, type, data, severity).catch((error: unknown) => {
      this.#lost.note(laneOf(type), JSON.stringify(data ?? null).length, "it could not be stored");
      this.#options.onStoreError(error);
    });
  }

  /**
   * The same for one that has to arrive: rejects when it could not be stored, and may be tried again with the same id. What the spool
   * has no room for is refused for good, and a gap says so (S2).
   */
  async emitOnce(id: string, type: string, data: unknown, severity: EventBody["severity"] = "info"): Promise<void> {
    if (!this.emits(type)) return;
    const timestamp = this.#options.clock.wallMs() / 1000;
    const event = { event_id: id, event_type: type, timestamp, data, severity };
    await this.#accept(event, "daemon").catch((error: unknown) => {
      if (!(error instanceof HlError) || error instanceof StoreRefusal) throw error;
      this.#lost.note(laneOf(type), Buffer.byteLength(JSON.stringify(event)), refusalReasons[error.type] ?? error.type);
    });
  }

  [Symbol.dispose](): void {
    this.#lost[Symbol.dispose]();
  }

  get #limits(): QueueLimits {
    return { eventsMax: this.#options.queueEventsMax, bytesMax: this.#options.queueBytesMax };
  }

  async #accept(event: EventBody, origin: Origin): Promise<number> {
    const isCallers = origin === "caller";
    const lane = isCallers ? laneOfCaller(event.event_type) : laneOf(event.event_type);
    const urgency: Urgency = isCallers ? "now" : "soon";
    let seq: number;
    try {
      if (isCallers) this.#assertNamesAreNoSecret(event);
      const body = this.#bodyOf(event);
      const size = Buffer.byteLength(body);
      const room = this.#admit(event, lane, size);
      this.#count(lane, 1, size);
      try {
        const dropped = room && this.#options.spool.dropOldest(lane, room, "its lane was over its share of the queue");
        seq = await this.#options.spool.append({ id: event.event_id, type: event.event_type, lane, body }, urgency);
        await dropped;
      } finally {
        this.#count(lane, -1, -size);
      }
    } catch (error) {
      this.#rejected += 1; // The caller hears why; the counter says that something was not kept (S2).
      throw error;
    }
    for (const listener of this.#listeners) listener();
    return seq;
  }

  /** Replaced, an id would be the same for all; and the daemon's own are its own words. */
  #assertNamesAreNoSecret({ event_id: id, event_type: type }: EventBody): void {
    const { redaction } = this.#options;
    const named = redaction.holdsSecret(id) ? "event_id" : redaction.holdsSecret(type) ? "event_type" : undefined;
    if (named === undefined) return;
    const text = `${named}: it holds a secret that the daemon knows, and nothing can be put in its place: use another`;
    throw new HlError("event_invalid", text);
  }

  /** Its size counts as it is stored: what stands for a secret may be longer. */
  #bodyOf(event: EventBody): SpoolText {
    const { eventBytesMax, redaction } = this.#options;
    const body = spoolTextOf(event, (value) => redaction.redact(value));
    const size = Buffer.byteLength(body);
    if (size <= eventBytesMax) return body;
    const text = `the event has ${size} bytes, ${eventBytesMax} are allowed`;
    const facts = { event_id: event.event_id, bytes: size, max_event_bytes: eventBytesMax };
    throw new HlError("event_invalid", text, facts);
  }

  /** What has to go for it, if anything; throws when there is no room for it. */
  #admit(event: EventBody, lane: Lane, size: number): Room | undefined {
    const refused = { event_id: event.event_id, status: "rejected" };
    const noSpace = lane === "critical" ? undefined : this.#options.noSpace?.();
    if (noSpace !== undefined) throw new HlError("no_space", noSpace, refused);
    const admission = this.#admission(lane, size);
    if (admission.kind === "drop") return admission.room;
    if (admission.kind === "take") return undefined;
    const { depth, bytes } = this.#options.spool;
    throw new HlError("queue_full", `the spool is full: ${depth} events, ${bytes} bytes`, { ...refused, depth, bytes });
  }

  #admission(lane: Lane, size: number): Admission {
    return admissionOf(this.#limits, this.#loads(), lane, size);
  }

  /** What waits, and what is about to. */
  #loads(): Loads {
    const load = (lane: Lane): LaneLoad => {
      const { events, bytes } = this.#options.spool.waiting(lane);
      const inFlight = this.#inFlight.get(lane);
      return { events: events + (inFlight?.events ?? 0), bytes: bytes + (inFlight?.bytes ?? 0) };
    };
    return { critical: load("critical"), session: load("session"), log: load("log"), metric: load("metric") };
  }

  #count(lane: Lane, events: number, bytes: number): void {
    const before = this.#inFlight.get(lane) ?? { events: 0, bytes: 0 };
    this.#inFlight.set(lane, { events: before.events + events, bytes: before.bytes + bytes });
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
        const events = spool.after(cursor, 100);
        for (const event of events) {
          // Numbers are given without a hole: one that is missing was here and is not any more.
          if (event.seq > cursor + 1) await notify("event/gap", { from: cursor + 1, to: event.seq - 1 });
          if (stopped()) return;
          cursor = event.seq;
          if (options.types !== undefined && !options.types.includes(event.type)) continue;
          const stored = this.#stored(event);
          if (stored !== undefined) await notify("event/event", stored);
          else await notify("event/gap", { from: event.seq, to: event.seq });
        }
        if (events.length === 0) await grown;
      }
    } finally {
      stop();
    }
  }

  stored(event: SpooledEvent): StoredEvent {
    return { ...(JSON.parse(event.body) as EventBody), epoch: this.epoch, seq: event.seq, lane: event.lane };
  }

  /** Undefined for one that the disk has changed: nobody can read it any more. */
  #stored(event: SpooledEvent): StoredEvent | undefined {
    try {
      return this.stored(event);
    } catch {
      return undefined;
    }
  }
}

/** What a gap event takes at most. */
const gapBytesMax = 1_024;

const refusalReasons: Partial<Record<ErrorType, string>> = {
  event_invalid: "it was larger than max_event_bytes",
  queue_full: "the queue was full",
  no_space: "the disk was full",
};
