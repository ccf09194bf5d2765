import { lanes, type Lane } from "@hl/protocol/event-lanes.ts";
import type { Database } from "./database.ts";
import type { Rescued } from "./salvage.ts";
import type { Forgot, Passed, WentBack } from "./lane-steps.ts";
import { minus, nothing, plus, type Use } from "./use.ts";

/** What is to go: events or bytes, whichever is reached first, and at least the bytes that are needed. */
export interface Room {
  readonly events: number;
  readonly bytes: number;
  readonly bytesNeeded: number;
}

interface State {
  acked: number;
  waiting: Use;
  kept: Use;
}

export function perLane(seq: number): ReadonlyMap<Lane, number> {
  return new Map(lanes.map((lane) => [lane, seq]));
}

/**
 * The place of each lane and what it holds: rows that wait, and rows that were taken and are kept. A step has two parts: what it does
 * to the rows, inside `Database.write`, may be run again; what follows for the figures, once that is durable, may not.
 */
export class LaneUse {
  readonly #database: Database;
  #states: ReadonlyMap<Lane, State>;
  #waitingOfAll: Use;

  constructor(database: Database) {
    this.#database = database;
    this.#states = this.#loadAll();
    this.#waitingOfAll = this.#sum();
  }

  /** In another file: what was counted as it was written need not be read again, which may take long. */
  reload(rescued?: Rescued): void {
    this.#states = rescued === undefined ? this.#loadAll() : this.#statesOf(rescued);
    this.#waitingOfAll = this.#sum();
  }

  acked(lane: Lane): number {
    return this.#of(lane).acked;
  }

  waiting(lane: Lane): Use {
    return this.#of(lane).waiting;
  }

  /** Kept beside those of the lanes: it is asked for with every event. */
  get waitingOfAll(): Use {
    return this.#waitingOfAll;
  }

  appended(lane: Lane, bytes: number): void {
    const state = this.#of(lane);
    state.waiting = plus(state.waiting, { events: 1, bytes });
    this.#waitingOfAll = plus(this.#waitingOfAll, { events: 1, bytes });
  }

  /** What is waiting up to `seq` has been taken. */
  pass(lane: Lane, seq: number): Passed {
    const from = this.#ackedInTable(lane) + 1;
    const waiting = this.#between(lane, from, seq);
    this.#database.prepare("UPDATE lanes SET acked_seq = max(acked_seq, ?) WHERE lane = ?").run(seq, lane);
    return { lane, from, to: seq, waiting, isKept: true };
  }

  passed({ lane, to, waiting, isKept }: Passed): void {
    const state = this.#of(lane);
    state.acked = Math.max(state.acked, to);
    state.waiting = minus(state.waiting, waiting);
    this.#waitingOfAll = minus(this.#waitingOfAll, waiting);
    if (isKept) state.kept = plus(state.kept, waiting);
  }

  /** The oldest that wait go, until there is as much room, or `limit` have gone. */
  dropOldest(lane: Lane, room: Room, limit: number): Passed | undefined {
    const rows = this.#rows(lane, this.#ackedInTable(lane), limit);
    let gone = nothing;
    let to: number | undefined;
    for (const { seq, size } of rows) {
      const isEnough = gone.events > 0 && (gone.events >= room.events || gone.bytes >= room.bytes);
      if (isEnough && gone.bytes >= room.bytesNeeded) break;
      gone = plus(gone, { events: 1, bytes: size });
      to = seq;
    }
    const [first] = rows;
    if (first === undefined || to === undefined) return undefined;
    this.#database.prepare("DELETE FROM events WHERE lane = ? AND seq BETWEEN ? AND ?").run(lane, first.seq, to);
    this.#database.prepare("UPDATE lanes SET acked_seq = max(acked_seq, ?) WHERE lane = ?").run(to, lane);
    return { lane, from: first.seq, to, waiting: gone, isKept: false };
  }

  /**
   * What was taken behind `seq` in this epoch waits again. What was refused is no reason to go back: the cloud never had it.
   * What would wait again and is no longer here is told once.
   */
  goBack(lane: Lane, seq: number): WentBack {
    const {
      acked_seq: acked,
      base_seq,
      forgotten_seq,
    } = this.#database.prepare("SELECT acked_seq, base_seq, forgotten_seq FROM lanes WHERE lane = ?").get(lane) as {
      acked_seq: number;
      base_seq: number;
      forgotten_seq: number;
    };
    const has = Math.max(seq, base_seq);
    const { first } = this.#database
      .prepare(
        "SELECT min(seq) AS first FROM events WHERE lane = ? AND seq > ? AND seq <= ? AND seq NOT IN (SELECT seq FROM dead_letters)",
      )
      .get(lane, has, acked) as { first: number | null };
    const to = first === null ? acked : first - 1;
    const isMissed = forgotten_seq > has;
    this.#database
      .prepare(
        "UPDATE lanes SET acked_seq = ?1, forgotten_seq = iif(?2, 0, forgotten_seq), forgotten_id = iif(?2, NULL, forgotten_id) WHERE lane = ?3",
      )
      .run(to, Number(isMissed), lane);
    const missing = isMissed ? { from: has + 1, to: forgotten_seq } : undefined;
    return { lane, acked: to, missing, ...this.#between(lane, to + 1, acked) };
  }

  /**
   * Of what was taken before nobody knows any more whether the cloud still has it: it may have been restored, and what it says of the
   * old epoch is of other events too. So all that is kept waits again, and what is not is told as missing; the cloud knows events by
   * their ids and keeps none twice.
   */
  beginEpoch(): readonly WentBack[] {
    const back = lanes.map((lane) => this.goBack(lane, 0));
    this.#database.prepare("UPDATE lanes SET base_seq = acked_seq").run();
    return back;
  }

  /** Whether an event of the lane that waits has the number. */
  isWaiting(lane: Lane, seq: number): boolean {
    if (seq <= this.acked(lane)) return false;
    return this.#database.prepare("SELECT 1 FROM events WHERE lane = ? AND seq = ?").get(lane, seq) !== undefined;
  }

  /** Whether the number is that event's: one that is here, or the newest of the lane that is forgotten. */
  isOf(lane: Lane, seq: number, id: string): boolean {
    const kept = this.#database.prepare("SELECT event_id AS id FROM events WHERE seq = ?").get(seq);
    if (kept !== undefined) return kept["id"] === id;
    const forgotten = this.#database
      .prepare("SELECT forgotten_id AS id FROM lanes WHERE lane = ? AND forgotten_seq = ?")
      .get(lane, seq);
    // Null: it was forgotten before ids were kept.
    return forgotten !== undefined && (forgotten["id"] === null || forgotten["id"] === id);
  }

  wentBack({ lane, acked, events, bytes }: WentBack): void {
    const state = this.#of(lane);
    state.acked = acked;
    state.waiting = plus(state.waiting, { events, bytes });
    this.#waitingOfAll = plus(this.#waitingOfAll, { events, bytes });
    state.kept = minus(state.kept, { events, bytes });
  }

  /** Of what was taken: all up to `upTo`, and the oldest beyond `bytesMax`; at most `limit` rows. */
  forget(lane: Lane, upTo: number, bytesMax: number, limit: number): Forgot {
    const acked = this.#ackedInTable(lane);
    const over = this.#of(lane).kept.bytes - bytesMax;
    let gone = nothing;
    let last = 0;
    if (upTo > 0 || over > 0) {
      for (const { seq, size } of this.#rows(lane, 0, limit)) {
        if (seq > acked || (seq > upTo && gone.bytes >= over)) break;
        gone = plus(gone, { events: 1, bytes: size });
        last = seq;
      }
    }
    if (gone.events > 0) this.#forgetUpTo(lane, last);
    return { lane, ...gone };
  }

  /** All that was taken goes at once, outside of transactions, a lane at a time. */
  deleteTaken(): void {
    for (const lane of lanes) {
      this.#forgetUpTo(lane, this.acked(lane));
      this.#of(lane).kept = nothing;
    }
  }

  forgot({ lane, events, bytes }: Forgot): void {
    const state = this.#of(lane);
    state.kept = minus(state.kept, { events, bytes });
  }

  /** When the oldest of those that wait was accepted. */
  oldestMs(lane: Lane): number | undefined {
    const select = this.#database.prepare(
      "SELECT accepted_ms AS ms FROM events WHERE lane = ? AND seq > ? ORDER BY seq LIMIT 1",
    );
    return (select.get(lane, this.acked(lane)) as { ms: number } | undefined)?.ms;
  }

  /** The newest event that does not fit any more when the newest of those that wait fill `bytes`; 0 where all do. */
  lastBehind(bytes: number): number {
    if (this.waitingOfAll.bytes <= bytes) return 0;
    const row = this.#database
      .prepare(
        "SELECT max(seq) AS seq FROM (SELECT seq, sum(octet_length(body)) OVER (ORDER BY seq DESC) AS filled FROM events JOIN lanes USING (lane) WHERE seq > acked_seq) WHERE filled > ?",
      )
      .get(bytes) as { seq: number | null };
    return row.seq ?? 0;
  }

  #forgetUpTo(lane: Lane, seq: number): void {
    // What was refused and set aside is not forgotten, and nobody misses it.
    const newest = this.#database
      .prepare(
        "SELECT seq, event_id AS id FROM events WHERE lane = ? AND seq <= ? AND seq NOT IN (SELECT seq FROM dead_letters) ORDER BY seq DESC LIMIT 1",
      )
      .get(lane, seq) as { seq: number; id: string } | undefined;
    if (newest !== undefined) {
      this.#database
        .prepare("UPDATE lanes SET forgotten_seq = ?1, forgotten_id = ?2 WHERE lane = ?3 AND forgotten_seq < ?1")
        .run(newest.seq, newest.id, lane);
    }
    this.#database.prepare("DELETE FROM events WHERE lane = ? AND seq <= ?").run(lane, seq);
  }

  #sum(): Use {
    return lanes.reduce((sum, lane) => plus(sum, this.waiting(lane)), nothing);
  }

  #statesOf(rescued: Rescued): ReadonlyMap<Lane, State> {
    const waiting = (lane: Lane): Use => rescued.get(lane) ?? nothing;
    return new Map(lanes.map((at) => [at, { acked: this.#ackedInTable(at), waiting: waiting(at), kept: nothing }]));
  }

  #loadAll(): ReadonlyMap<Lane, State> {
    return this.#database.read(() => {
      const { last } = this.#database
        .prepare(
          "SELECT max(coalesce((SELECT max(seq) FROM events), 0), coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'events'), 0)) AS last",
        )
        .get() as { last: number };
      this.#checkIndex();
      const states = new Map(lanes.map((lane) => [lane, this.#load(lane)]));
      // Whatever came next would count as delivered.
      const isPossible = [...states.values()].every(({ acked }) => acked <= last);
      if (!isPossible) throw new SyntaxError("a lane is further than the last event");
      return states;
    });
  }

  /** A lane is read by its index; what that lacks would wait for ever. */
  #checkIndex(): void {
    const count = (how: string): string =>
      JSON.stringify(
        this.#database.prepare(`SELECT lane, count(*) AS events FROM events ${how} GROUP BY lane ORDER BY lane`).all(),
      );
    const [inIndex, inTable] = [count("INDEXED BY events_by_lane"), count("NOT INDEXED")];
    if (inIndex !== inTable) throw new SyntaxError("the index of the lanes is not what the events say");
  }

  #load(lane: Lane): State {
    const acked = this.#ackedInTable(lane);
    const waiting = this.#between(lane, acked + 1, Number.MAX_SAFE_INTEGER);
    return { acked, waiting, kept: this.#between(lane, 0, acked) };
  }

  #of(lane: Lane): State {
    const state = this.#states.get(lane);
    if (state === undefined) throw new Error(`there is no lane ${lane}`);
    return state;
  }

  /** Inside a write this may be newer than what is known to be durable. */
  #ackedInTable(lane: Lane): number {
    const row = this.#database.prepare("SELECT acked_seq AS seq FROM lanes WHERE lane = ?").get(lane);
    if (typeof row?.["seq"] !== "number") throw new SyntaxError(`the lane ${lane} has no place`);
    return row["seq"];
  }

  #between(lane: Lane, from: number, to: number): Use {
    const row = this.#database
      .prepare(
        "SELECT count(*) AS events, coalesce(sum(octet_length(body)), 0) AS bytes FROM events WHERE lane = ? AND seq BETWEEN ? AND ?",
      )
      .get(lane, from, to) as unknown as Use;
    return { events: row.events, bytes: row.bytes };
  }

  #rows(lane: Lane, behind: number, limit: number): { readonly seq: number; readonly size: number }[] {
    return this.#database
      .prepare("SELECT seq, octet_length(body) AS size FROM events WHERE lane = ? AND seq > ? ORDER BY seq LIMIT ?")
      .all(lane, behind, limit) as { seq: number; size: number }[];
  }
}
