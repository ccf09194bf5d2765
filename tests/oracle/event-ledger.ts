/**
 * What was said about events and what became of them. Fed from both ends, it judges: everything accepted is in the cloud once and
 * unchanged (S1), or named by a gap (S2), nothing is there that was never accepted, and whoever was refused was told why, and rightly (S2).
 */
import type { Gap } from "@hl/protocol/event-lanes.ts";
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
  /** Sequence numbers of the accepted attempts. */
  readonly seqs: number[];
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
  /** Accepted and not in the cloud, and no gap names its number. */
  readonly missing: readonly string[];
  /** Accepted and not in the cloud, and a gap says so (S2): a cloud that was restored lacks them, and a full disk had taken them. */
  readonly toldMissing: readonly string[];
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
  readonly #gaps: { readonly from: number; readonly to: number }[] = [];
  #atLimit = 0;
  #overLimit = 0;

  /** @param seq as the daemon has answered it */
  accepted(id: string, seq: number): void {
    const entry = this.#entry(id);
    entry.accepted += 1;
    entry.seqs.push(seq);
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

  /** A gap that has come to the cloud: numbers of the lane of these events, or of any. */
  told({ lane, from, to }: Pick<Gap, "lane" | "from" | "to">): void {
    if ((lane === "session" || lane === null) && from !== null && to !== null) this.#gaps.push({ from, to });
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
    const isMissing = ({ accepted, copies }: Entry): boolean => accepted > 0 && copies === 0;
    const isTold = ({ seqs }: Entry): boolean =>
      seqs.every((seq) => this.#gaps.some(({ from, to }) => from <= seq && seq <= to));
    return {
      issued: all.length,
      accepted: idsOf(({ accepted }) => accepted > 0).length,
      refused: idsOf(({ accepted, refused }) => accepted === 0 && refused > 0).length,
      delivered: idsOf(({ copies }) => copies > 0).length,
      missing: idsOf((entry) => isMissing(entry) && !isTold(entry)),
      toldMissing: idsOf((entry) => isMissing(entry) && isTold(entry)),
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
    if (entry === undefined)
      this.#entries.set(id, (entry = { seqs: [], accepted: 0, refused: 0, unanswered: 0, copies: 0 }));
    return entry;
  }
}

function isAsIssued({ event_id, event_type, timestamp, data, severity }: DeliveredEvent): boolean {
  return JSON.stringify({ event_id, event_type, timestamp, data, severity }) === JSON.stringify(eventOf(event_id));
}
