import type { LogPlace } from "../store/transcript-records.ts";
import type { Said } from "./said.ts";

/** Something to be kept, and where it was read. */
export interface Placed {
  readonly said: Said;
  readonly place: LogPlace;
  readonly past: boolean;
}

/** What has no meaning here: a program that prints into its protocol makes thousands of them out of one read. */
const noiseTypes: ReadonlySet<string> = new Set(["log", "unknown", "notification"]);
/** Events of noise that are made of what is read at once; the others are counted. */
const eventsMax = 100;

interface Lines extends Placed {
  readonly texts: string[];
  bytes: number;
}

/**
 * Keeps what an agent says without meaning small (P5, P7): lines of log that are read at once and stand one behind the other become one
 * event, and of too many events of noise there is the number, as `left_out`.
 */
export class Noise {
  readonly #bytesMax: () => number;
  readonly #keep: (placed: Placed) => void;
  #lines: Lines | undefined;
  #leftOut: { events: number; last: Placed } | undefined;
  #events = 0;
  #isReading = false;

  /** @param bytesMax of the texts of one event, as JSON */
  constructor(bytesMax: () => number, keep: (placed: Placed) => void) {
    this.#bytesMax = bytesMax;
    this.#keep = keep;
  }

  add(placed: Placed): void {
    if (!noiseTypes.has(placed.said.type)) {
      this.flush();
      this.#keep(placed);
      return;
    }
    if (!this.#isReading) {
      this.#isReading = true;
      queueMicrotask(() => this.#readEnds()); // What is read at once is told in one go.
    }
    const line = lineOf(placed.said);
    if (line !== undefined && this.#join(placed, line)) return;
    this.#flushLines();
    if (this.#events >= eventsMax) {
      this.#leftOut = { events: (this.#leftOut?.events ?? 0) + 1, last: placed };
      return;
    }
    this.#events += 1;
    if (line === undefined) this.#keep(placed);
    else this.#lines = { ...placed, texts: [line.text], bytes: jsonBytes(line.text) };
  }

  /** Something else follows. */
  flush(): void {
    this.#flushLines();
    if (this.#leftOut === undefined) return;
    const { events, last } = this.#leftOut;
    this.#leftOut = undefined;
    const { sessionId, relayId } = last.said;
    this.#keep({ ...last, said: { type: "left_out", sessionId, relayId, data: { events } } });
  }

  #readEnds(): void {
    this.#isReading = false;
    this.#events = 0;
    this.flush();
  }

  #join(placed: Placed, { stream, text }: Line): boolean {
    const before = this.#lines;
    if (before === undefined || this.#leftOut !== undefined) return false;
    const { said } = before;
    const isSame = said.sessionId === placed.said.sessionId && said.relayId === placed.said.relayId;
    const bytes = jsonBytes(text);
    if (!isSame || lineOf(said)?.stream !== stream || before.bytes + bytes > this.#bytesMax()) return false;
    before.texts.push(text);
    this.#lines = { ...before, place: placed.place, bytes: before.bytes + bytes };
    return true;
  }

  #flushLines(): void {
    if (this.#lines === undefined) return;
    const { said, place, past, texts } = this.#lines;
    this.#lines = undefined;
    const text = texts.join("\n");
    this.#keep({ said: { ...said, data: { ...(said.data as object), text } }, place, past });
  }
}

interface Line {
  readonly stream: unknown;
  readonly text: string;
}

function lineOf({ type, data }: Said): Line | undefined {
  if (type !== "log") return undefined;
  const { stream, text } = data as { stream?: unknown; text?: unknown };
  return typeof text === "string" ? { stream, text } : undefined;
}

function jsonBytes(text: string): number {
  return Buffer.byteLength(JSON.stringify(text));
}
