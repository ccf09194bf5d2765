/**
 * What was said about events and what became of them. Fed from both ends, it judges: everything accepted is in the cloud once and
 * unchanged (S1), nothing is there that was never accepted, and whoever was refused was told why, and rightly (S2).
 */
import { errorTable, type ErrorType } from "@hl/protocol/errors.ts";
import { bytesOf, eventBytesMax, eventOf, isTooLarge } from "./payload.ts";

/** An event as the cloud shows it. */
export interface DeliveredEvent {
  readonly event_id: string;
  readonly event_type: string;
  readonly timestamp: number;
  readonly data: unknown;
  readonly severity: string;
}

interface Entry {
  /** Answers to the attempts to hand it over. */
  accepted: number;
  refused: number;
  /** Attempts that broke before their answer: the event may have been accepted. */
  unanswered: number;
  /** Times the cloud shows it. */
  copies: number;
}

export interface EventVerdict {
  readonly issued: number;
  readonly accepted: number;
  readonly refused: number;
  readonly delivered: number;
  /** Accepted and not in the cloud. */
  readonly missing: readonly string[];
  /** In the cloud more than once. */
  readonly doubled: readonly string[];
  /** Not what was issued under its id. */
  readonly corrupt: readonly string[];
  /** In the cloud although never issued, or although every attempt was refused. */
  readonly spurious: readonly string[];
  /** Taken although too large, refused as malformed although it is not, or with a code that is none of a refusal; with the code. */
  readonly misjudged: readonly string[];
  /** Accepted ones of exactly the largest size, and refused ones that were one byte over it. */
  readonly atLimit: number;
  readonly overLimit: number;
}

/** What the contract has for an event that is not taken. */
const refusals: ReadonlySet<number> = new Set(
  (["queue_full", "no_space", "store_failing", "shutting_down"] satisfies ErrorType[]).map(
    (type) => errorTable[type].code,
  ),
);

export class EventLedger {
  readonly #entries = new Map<string, Entry>();
  readonly #corrupt: string[] = [];
  readonly #strangers: string[] = [];
  readonly #misjudged: string[] = [];
  #atLimit = 0;
  #overLimit = 0;

  accepted(id: string): void {
    this.#entry(id).accepted += 1;
    const event = eventOf(id);
    if (isTooLarge(event)) this.#misjudged.push(`${id}: accepted`);
    if (bytesOf(event) === eventBytesMax) this.#atLimit += 1;
  }

  refused(id: string, code: number): void {
    this.#entry(id).refused += 1;
    const bytes = bytesOf(eventOf(id));
    const isRight = bytes > eventBytesMax ? code === errorTable.event_invalid.code : refusals.has(code);
    if (!isRight) this.#misjudged.push(`${id}: refused with ${code}, ${bytes} bytes`);
    else if (bytes === eventBytesMax + 1) this.#overLimit += 1;
  }

  unanswered(id: string): void {
    this.#entry(id).unanswered += 1;
  }

  /** Ids handed over and accepted so far. */
  get acceptedCount(): number {
    return [...this.#entries.values()].filter(({ accepted }) => accepted > 0).length;
  }

  delivered(event: DeliveredEvent): void {
    const entry = this.#entries.get(event.event_id);
    if (entry === undefined) {
      this.#strangers.push(event.event_id);
      return;
    }
    entry.copies += 1;
    if (!isAsIssued(event)) this.#corrupt.push(event.event_id);
  }

  verdict(): EventVerdict {
    const all = [...this.#entries];
    const idsOf = (wanted: (entry: Entry) => boolean): string[] =>
      all.filter(([, entry]) => wanted(entry)).map(([id]) => id);
    return {
      issued: all.length,
      accepted: idsOf(({ accepted }) => accepted > 0).length,
      refused: idsOf(({ accepted, refused }) => accepted === 0 && refused > 0).length,
      delivered: idsOf(({ copies }) => copies > 0).length,
      missing: idsOf(({ accepted, copies }) => accepted > 0 && copies === 0),
      doubled: idsOf(({ copies }) => copies > 1),
      corrupt: this.#corrupt,
      misjudged: this.#misjudged,
      atLimit: this.#atLimit,
      overLimit: this.#overLimit,
      spurious: [
        ...this.#strangers,
        ...idsOf(({ accepted, unanswered, copies }) => copies > 0 && accepted === 0 && unanswered === 0),
      ],
    };
  }

  #entry(id: string): Entry {
    let entry = this.#entries.get(id);
    if (entry === undefined) this.#entries.set(id, (entry = { accepted: 0, refused: 0, unanswered: 0, copies: 0 }));
    return entry;
  }
}

function isAsIssued({ event_id, event_type, timestamp, data, severity }: DeliveredEvent): boolean {
  return JSON.stringify({ event_id, event_type, timestamp, data, severity }) === JSON.stringify(eventOf(event_id));
}
