import type { Urgency } from "@hl/core/store/group-commit.ts";
import { lanes, type Gap, type Lane, type LanesAcked } from "@hl/protocol/event-lanes.ts";
import { areNumbersUsedTwice } from "./cloud-cursors.ts";
import type { Database } from "./database.ts";
import { DeadLetters } from "./dead-letters.ts";
import { gapEvent } from "./gap-event.ts";
import type { NewEvent, SpooledEvent } from "./spooled-event.ts";
import type { WentBack } from "./lane-steps.ts";
import type { Rescued } from "./salvage.ts";
import { LaneUse, perLane, type Room } from "./lane-use.ts";
import type { Use } from "./use.ts";

export interface SpoolFigures {
  readonly depth: number;
  readonly bytes: number;
  readonly oldestMs: number | undefined;
  readonly deadLetters: number;
}

/** What waits in one lane. */
export interface LaneFigures extends Use {
  readonly lane: Lane;
  readonly oldestMs: number | undefined;
}

/** Up to where the lanes were taken, as far as they are in it. */
export type UpTo = ReadonlyMap<Lane, number>;

interface InsertedGap {
  readonly event: NewEvent;
  readonly seq: number;
}

/** Rows of one write, so that none takes long. */
const rowsPerWrite = 1_000;
const rowsPerRead = 64;

/**
 * The table of accepted events: one sequence, and a place in it for each lane. An event waits until the cloud has taken it, and stays
 * a while longer for a cloud that forgets and for local readers. What lanes hold is derived from the rows at start and then kept
 * beside them, so that it cannot drift from the truth for longer than a run (S5).
 */
export class EventSpool {
  readonly #database: Database;
  readonly #wallMs: () => number;
  readonly #dead: DeadLetters;
  readonly #use: LaneUse;
  /** Later ones are in the table but may be lost with the power; nobody is shown them, or a number could be used twice (S3). */
  #durableSeq: number;
  #generation = 0;
  #gaps = 0;

  constructor(database: Database, wallMs: () => number) {
    this.#database = database;
    this.#wallMs = wallMs;
    this.#dead = new DeadLetters(database);
    this.#use = new LaneUse(database);
    this.#durableSeq = this.nextSeq - 1;
  }

  /**
   * Another file has taken the place of a corrupt one. Numbers go on behind the last one that was given, whatever could be read of
   * the old file: followers are there already.
   * @param rescued what waits in it, where that is known
   */
  reload(rescued?: Rescued): void {
    this.#generation += 1;
    const last = this.#database.prepare("UPDATE sqlite_sequence SET seq = max(seq, ?) WHERE name = 'events'");
    this.#database
      .prepare(
        "INSERT INTO sqlite_sequence SELECT 'events', 0 WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = 'events')",
      )
      .run();
    last.run(this.#durableSeq);
    this.#durableSeq = this.nextSeq - 1;
    this.#use.reload(rescued);
  }

  /** Deletes what was delivered, for whoever needs its room now; outside of transactions. */
  deleteDelivered(): void {
    this.#use.deleteTaken();
  }

  get epoch(): string {
    return this.#database.epoch;
  }

  /** Accepted and not yet taken by the cloud. */
  get depth(): number {
    return this.#use.waitingOfAll.events;
  }

  get bytes(): number {
    return this.#use.waitingOfAll.bytes;
  }

  /** `gap` events since the start. */
  get gaps(): number {
    return this.#gaps;
  }

  /** Changes when the spool begins to go back and when it has: what was read before says nothing about what is waiting now. */
  get generation(): number {
    return this.#generation;
  }

  get nextSeq(): number {
    const row = this.#database.prepare("SELECT seq FROM sqlite_sequence WHERE name = 'events'").get();
    return ((row as { seq: number } | undefined)?.seq ?? 0) + 1;
  }

  /** What waits in a lane. */
  waiting(lane: Lane): Use {
    return this.#use.waiting(lane);
  }

  /** Resolves with the sequence number once the event is durable (S1). */
  async append(event: NewEvent, urgency: Urgency = "now"): Promise<number> {
    const seq = await this.#database.write(() => this.#insert(event), urgency);
    this.#appended(event, seq);
    return seq;
  }

  /** Says what is missing, in the lane that is never dropped (S2). */
  async appendGap(gap: Gap): Promise<void> {
    await this.append(gapEvent(gap, this.#wallMs()), "soon");
    this.#gaps += 1;
  }

  /** The next events of a lane for the cloud, in order; at least one, if there is any, and no more than `bytesMax` otherwise. */
  pending(lane: Lane, eventsMax: number, bytesMax: number): SpooledEvent[] {
    const select = this.#database.prepare(
      "SELECT seq, lane, event_type AS type, body FROM events WHERE lane = ? AND seq > ? AND seq <= ? ORDER BY seq LIMIT ?",
    );
    const events: SpooledEvent[] = [];
    let bytes = 0;
    for (let behind = this.#use.acked(lane); events.length < eventsMax;) {
      const limit = Math.min(rowsPerRead, eventsMax - events.length);
      const rows = select.all(lane, behind, this.#durableSeq, limit) as unknown as SpooledEvent[];
      for (const event of rows) {
        bytes += Buffer.byteLength(event.body);
        if (bytes > bytesMax && events.length > 0) return events;
        events.push(event);
        behind = event.seq;
      }
      if (rows.length < limit) break;
    }
    return events;
  }

  /** For local readers: of all lanes, delivered or not. */
  after(seq: number, limit: number): SpooledEvent[] {
    const select =
      "SELECT seq, lane, event_type AS type, body FROM events WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?";
    return this.#database.prepare(select).all(seq, this.#durableSeq, limit) as unknown as SpooledEvent[];
  }

  /**
   * The cloud has taken everything up to there; what it refused is set aside, never dropped (S2). Said twice, or late, it changes
   * nothing: at a stop the last flush may ship what the loop is shipping.
   * @param generation when the events were read: what was sent before the spool went back is not what waits now
   */
  async acknowledge(
    upTo: UpTo,
    refused: ReadonlyMap<number, string> = new Map(),
    generation = this.#generation,
  ): Promise<void> {
    if (generation !== this.#generation) return;
    const taken = await this.#database.writeMakingRoom(() => {
      const gap = this.#dead.add(refused, this.#wallMs());
      const gapAt = gap && this.#insertGap(gap);
      return { gapAt, passed: [...upTo].map(([lane, seq]) => this.#use.pass(lane, seq)) };
    });
    for (const passed of taken.passed) this.#use.passed(passed);
    this.#gapInserted(taken.gapAt);
  }

  /**
   * Compares what the cloud says it has with what it has acknowledged. Where it has less, what is still here of the rest waits again,
   * and a gap says what is not (S1, S2). Where numbers were used twice a new epoch begins (S3).
   */
  async reconcile(theirs: LanesAcked): Promise<void> {
    if (theirs.epoch !== this.epoch) return;
    const has = (lane: Lane): number => theirs.lanes[lane] ?? 0;
    if (areNumbersUsedTwice(this.#use, theirs)) return this.beginEpoch();
    const behind = lanes.filter((lane) => has(lane) < this.#use.acked(lane));
    if (behind.length === 0) return;
    this.#generation += 1;
    for (const lane of behind) {
      const back = await this.#database.write(() => this.#withGap(this.#use.goBack(lane, has(lane)), lostByCloud));
      this.#wentBack(back);
    }
  }

  /** The numbers of this epoch are in use for other events: all that is here goes out under a new one (S1, S3). */
  async beginEpoch(): Promise<void> {
    this.#generation += 1;
    const all = await this.#database.beginEpoch(() => {
      return this.#use.beginEpoch().map((back) => this.#withGap(back, perhapsLost));
    });
    for (const back of all) this.#wentBack(back);
  }

  /** The oldest of a lane make room for as much, and a gap says so, in one transaction (S2). */
  async dropOldest(lane: Lane, room: Room, reason: string): Promise<void> {
    const done = await this.#database.write(() => {
      const dropped = this.#use.dropOldest(lane, room, rowsPerWrite);
      if (dropped === undefined) return undefined;
      const { events: count, bytes } = dropped.waiting;
      return { dropped, gapAt: this.#insertGap({ lane, from: dropped.from, to: dropped.to, count, bytes, reason }) };
    });
    if (done === undefined) return;
    this.#use.passed(done.dropped);
    this.#gapInserted(done.gapAt);
  }

  /** Forgets what was taken up to there, and more of it where a lane keeps over `bytesMax`. Answers whether there is more to do. */
  async prune(upTo: UpTo, bytesMax: number): Promise<boolean> {
    const pruned = await this.#database.writeMakingRoom(() =>
      lanes.map((lane) => this.#use.forget(lane, upTo.get(lane) ?? 0, bytesMax, rowsPerWrite)),
    );
    for (const one of pruned) this.#use.forgot(one);
    return pruned.some(({ events }) => events === rowsPerWrite);
  }

  /** Up to where each lane was taken at this moment. */
  acked(): UpTo {
    return new Map(lanes.map((lane) => [lane, this.#use.acked(lane)]));
  }

  /** Without a cloud nothing is ever delivered: local readers have the newest, within both limits, and the oldest go. */
  async keepNewest(keep: number, bytesMax: number): Promise<void> {
    const upTo = Math.max(this.nextSeq - 1 - Math.floor(keep), this.#use.lastBehind(bytesMax));
    if (lanes.every((lane) => upTo <= this.#use.acked(lane))) return;
    await this.acknowledge(perLane(upTo));
    while (await this.prune(perLane(upTo), 0));
  }

  /** What needs a look into the table is not known while that is being saved. */
  figures(ofLanes: readonly LaneFigures[] = this.lanes()): SpoolFigures {
    const { depth, bytes } = this;
    if (this.#database.isBeingSaved) return { depth, bytes, oldestMs: undefined, deadLetters: 0 };
    const times = ofLanes.flatMap(({ oldestMs }) => oldestMs ?? []);
    const oldestMs = times.length === 0 ? undefined : Math.min(...times);
    return { depth, bytes, oldestMs, deadLetters: this.#dead.count };
  }

  /** In the order in which they are sent. */
  lanes(): LaneFigures[] {
    const isKnown = !this.#database.isBeingSaved;
    return lanes.map((lane) => ({
      lane,
      ...this.#use.waiting(lane),
      oldestMs: isKnown ? this.#use.oldestMs(lane) : undefined,
    }));
  }

  #insert(event: NewEvent): number {
    const insert = this.#database.prepare(
      "INSERT INTO events (event_id, event_type, lane, body, accepted_ms) VALUES (?, ?, ?, ?, ?)",
    );
    return Number(insert.run(event.id, event.type, event.lane, event.body, this.#wallMs()).lastInsertRowid);
  }

  #appended(event: NewEvent, seq: number): void {
    this.#durableSeq = Math.max(this.#durableSeq, seq);
    this.#use.appended(event.lane, Buffer.byteLength(event.body));
  }

  /** What a lane that goes back finds missing is told in the same write. */
  #withGap(back: WentBack, reason: string): { readonly back: WentBack; readonly gapAt: InsertedGap | undefined } {
    const { lane, missing } = back;
    return { back, gapAt: missing && this.#insertGap({ lane, ...missing, count: null, bytes: null, reason }) };
  }

  #wentBack({ back, gapAt }: { readonly back: WentBack; readonly gapAt: InsertedGap | undefined }): void {
    this.#generation += 1; // What was read while it was being written is of before, too.
    this.#use.wentBack(back);
    this.#gapInserted(gapAt);
  }

  #insertGap(gap: Gap): InsertedGap {
    const event = gapEvent(gap, this.#wallMs());
    return { event, seq: this.#insert(event) };
  }

  #gapInserted(inserted: InsertedGap | undefined): void {
    if (inserted === undefined) return;
    this.#appended(inserted.event, inserted.seq);
    this.#gaps += 1;
  }
}

const lostByCloud = "the cloud has lost events that it had taken, and they are no longer kept here";

const perhapsLost =
  "their numbers have been used for other events as well; the cloud had taken these, they are no longer kept here, and nobody can say whether it still has them";
