/**
 * The transcript of one agent: numbers what it says, has it kept, and tells it to whoever follows.
 *
 * Numbers are given at once and shown only when what they stand for, or something behind it, is on disk, so that none is told and then used
 * again by the next daemon (S3). One that is missing in the table was here, or could not be stored: followers are told the gap (S2).
 */
import type { Clock } from "@hl/core/clock.ts";
import type { AgentItem } from "@hl/protocol/methods/claude-subscribe.ts";
import type { LogPlace, TranscriptRecords } from "../store/transcript-records.ts";
import { cutToFit } from "./cut.ts";
import { DeltaStreams, type TextStream } from "./delta-streams.ts";
import { LiveReader } from "./live-reader.ts";
import { Noise, type Placed } from "./noise.ts";
import type { Said } from "./said.ts";

export interface TranscriptOptions {
  readonly records: TranscriptRecords;
  readonly clock: Pick<Clock, "wallMs">;
  /** Takes out what must not leave the daemon (X4). */
  readonly redact: (value: unknown) => unknown;
  /** The same for a text that comes in pieces. */
  readonly redactStream: () => TextStream;
  /** Of one agent; the oldest go. */
  readonly bytesMax: number;
  /** `data` of one event as JSON; the rest is cut off. */
  readonly dataBytesMax: number;
  /** Called in the turn of the loop in which it is handed over to be kept, so that what follows from it is in the same transaction. */
  readonly onKept: (item: AgentItem & { readonly seq: number }, place: LogPlace, turn: number | undefined) => void;
  readonly onStoreError: (error: unknown) => void;
}

/** Where it was read. */
export interface ReadAt {
  readonly runId: string;
  readonly position: number;
  /** An earlier life of the daemon may have read it as well. */
  readonly past: boolean;
}

const rowsPerRead = 16;
/** On their way to disk; over it the agent is not read. */
const pendingMax = 1_000;
/** What a log event has beside its text. */
const noiseEnvelopeBytes = 64;
/** After a trim there is room for a while: it looks at every row. */
const trimmedShare = 0.75;

export class Transcript {
  readonly #processId: string;
  readonly #options: TranscriptOptions;
  readonly #readers = new Set<LiveReader>();
  readonly #noise: Noise;
  readonly #deltas: DeltaStreams;
  /** Numbers that are given and not on disk yet, oldest first. */
  readonly #pending = new Set<number>();
  #last: number;
  /** The newest that is on disk: the next daemon goes on behind it. */
  #stored: number;
  #bytes: number;
  #trimming = false;
  /** Up to there everything of the log is here. */
  #recorded: LogPlace | undefined;
  #reading: LogPlace | undefined;
  #closed = false;
  #room: PromiseWithResolvers<undefined> | undefined;

  constructor(processId: string, options: TranscriptOptions) {
    this.#processId = processId;
    this.#options = options;
    this.#noise = new Noise(
      () => options.dataBytesMax - noiseEnvelopeBytes,
      (placed) => this.#keep(placed),
    );
    this.#deltas = new DeltaStreams(options.redactStream);
    const { last, bytes } = options.records.use(processId);
    this.#last = this.#stored = last?.seq ?? 0;
    this.#recorded = last?.place;
    this.#bytes = bytes;
  }

  /** The oldest that is kept. */
  get firstSeq(): number {
    return this.#options.records.firstSeq(this.#processId) ?? this.nextSeq;
  }

  /** Behind everything that can be told. */
  get nextSeq(): number {
    return this.#settledUpTo + 1;
  }

  /** Something to be kept. Of the past what is here already is not taken again. */
  add(said: Said, { runId, position, past }: ReadAt): void {
    const reading = placeBehind(this.#reading, runId, position);
    this.#reading = reading;
    this.#closed = false;
    if (past && isRecorded(reading, this.#recorded)) return;
    for (const rest of this.#deltas.endedBy(said)) this.#tellNow(rest);
    this.#noise.add({ said, place: reading, past });
  }

  #keep({ said, place: read, past }: Placed): void {
    // What follows from no line of its own is not read again, so its place is behind whatever was read there before.
    const place = past ? read : placeNotBefore(read, this.#recorded);
    if (isRecorded(this.#reading ?? place, place)) this.#reading = place;
    this.#recorded = place;
    const item = this.#itemOf(said);
    const body = JSON.stringify(item);
    this.#pending.add(item.seq);
    this.#options.records.append(this.#processId, { seq: item.seq, place, body }).then(
      () => {
        this.#stored = Math.max(this.#stored, item.seq);
        this.#settled(item.seq, Buffer.byteLength(body));
      },
      (error: unknown) => {
        this.#options.onStoreError(error);
        this.#settled(item.seq, 0);
      },
    );
    this.#options.onKept(item, place, said.turn);
  }

  /** Something that is told to whoever follows at this moment, and not kept. What is too large for an event is left out. */
  tell(said: Said): void {
    // Also when nobody is there: who comes in the middle of a secret is not to have the rest of it.
    for (const piece of this.#deltas.push(said)) this.#tellNow(piece);
  }

  #tellNow(said: Said): void {
    if (this.#readers.size === 0) return;
    this.#noise.flush();
    const item: AgentItem = {
      ...{ process_id: this.#processId, timestamp: this.#options.clock.wallMs() / 1000 },
      ...this.#redacted(said),
    };
    const bytes = Buffer.byteLength(JSON.stringify(item.data));
    const isTooLarge = bytes > this.#options.dataBytesMax;
    for (const reader of this.#readers) {
      if (isTooLarge) reader.leaveOut(this.#last);
      else reader.offer(item, this.#last, bytes);
    }
  }

  /** Resolves when more should be added: the disk sets the pace, not the agent (P5, P7). Undefined when it may be at once. */
  room(): Promise<void> | undefined {
    if (this.#pending.size <= pendingMax) return undefined;
    return (this.#room ??= Promise.withResolvers<undefined>()).promise;
  }

  /** Nothing follows: readers that have it all are done. */
  close(): void {
    this.#noise.flush();
    this.#closed = true;
    this.#wake();
  }

  /** Sends what is kept from `from` on, then what comes, until the agent's end or the signal. */
  async follow(
    from: number,
    notify: (method: string, params: unknown) => Promise<void>,
    signal: AbortSignal,
  ): Promise<void> {
    const { records } = this.#options;
    const process_id = this.#processId;
    const reader = new LiveReader();
    const wake = (): void => reader.wake();
    let cursor = from - 1;
    const gap = (to: number): Promise<void> => notify("claude/gap", { process_id, from: cursor + 1, to });
    const stopped = (): boolean => signal.aborted; // It changes while a notification is on its way.
    this.#readers.add(reader);
    signal.addEventListener("abort", wake, { once: true });
    try {
      while (!stopped()) {
        const woken = reader.woken();
        const settled = this.#settledUpTo;
        const rows = records.read(process_id, cursor, settled, rowsPerRead);
        for (const { seq, item } of rows) {
          if (seq > cursor + 1) await gap(seq - 1);
          if (stopped()) return;
          cursor = seq;
          await notify("claude/event", item);
          if (stopped()) return;
        }
        if (rows.length > 0) continue;
        if (cursor < settled) {
          await gap(settled);
          cursor = settled;
          continue;
        }
        const live = reader.next(cursor, this.#decidedUpTo);
        if (live !== undefined) await notify("claude/event", live);
        else if (this.#closed && this.#pending.size === 0) return;
        else await woken;
      }
    } finally {
      signal.removeEventListener("abort", wake);
      this.#readers.delete(reader);
    }
  }

  /** Everything up to there is on disk, or never will be. */
  get #decidedUpTo(): number {
    const [oldest] = this.#pending;
    return oldest === undefined ? this.#last : oldest - 1;
  }

  /** So is this, and no later daemon gives one of these numbers to something else. */
  get #settledUpTo(): number {
    return Math.min(this.#decidedUpTo, this.#stored);
  }

  #itemOf(said: Said): AgentItem & { readonly seq: number } {
    const { clock, dataBytesMax } = this.#options;
    const { data, ...words } = this.#redacted(said);
    const cut = cutToFit(data, dataBytesMax);
    this.#last += 1;
    return {
      ...{ process_id: this.#processId, seq: this.#last, timestamp: clock.wallMs() / 1000 },
      ...words,
      ...(cut.omittedBytes === 0 ? {} : { omitted_bytes: cut.omittedBytes }),
      data: cut.data,
    };
  }

  /** The agent chooses the name of its session too. */
  #redacted({ type, sessionId, relayId, data }: Said): Pick<AgentItem, "type" | "session_id" | "relay_id" | "data"> {
    const relay = relayId === undefined ? {} : { relay_id: relayId };
    const [session_id, redacted] = this.#options.redact([sessionId, data]) as [string, unknown];
    return { type, session_id, ...relay, data: redacted };
  }

  #settled(seq: number, bytes: number): void {
    this.#pending.delete(seq);
    if (this.#pending.size <= pendingMax / 2) {
      this.#room?.resolve(undefined);
      this.#room = undefined;
    }
    this.#bytes += bytes;
    this.#wake();
    const { records, bytesMax, onStoreError } = this.#options;
    if (this.#bytes <= bytesMax || this.#trimming) return;
    this.#trimming = true;
    records
      .trim(this.#processId, bytesMax * trimmedShare)
      .then(() => void (this.#bytes = records.use(this.#processId).bytes))
      .catch(onStoreError)
      .finally(() => (this.#trimming = false));
  }

  #wake(): void {
    for (const reader of this.#readers) reader.wake();
  }
}

function placeBehind(before: LogPlace | undefined, runId: string, position: number): LogPlace {
  const same = before?.runId === runId && before.position === position;
  return { runId, position, index: same ? before.index + 1 : 0 };
}

function placeNotBefore(place: LogPlace, recorded: LogPlace | undefined): LogPlace {
  return recorded !== undefined && isRecorded(place, recorded) ? { ...recorded, index: recorded.index + 1 } : place;
}

/** Another run is another log: nothing of it was recorded with this place. */
function isRecorded(place: LogPlace, recorded: LogPlace | undefined): boolean {
  if (recorded?.runId !== place.runId) return false;
  return place.position < recorded.position || (place.position === recorded.position && place.index <= recorded.index);
}
