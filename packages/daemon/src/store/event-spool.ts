import type { Urgency } from "@hl/core/store/group-commit.ts";
import type { Database } from "./database.ts";

/** One event on its way to the cloud; `body` is its JSON without epoch and sequence number. */
export interface SpooledEvent {
  readonly seq: number;
  readonly type: string;
  readonly body: string;
}

export interface NewEvent {
  readonly id: string;
  readonly type: string;
  readonly body: string;
}

export interface SpoolFigures {
  readonly depth: number;
  readonly bytes: number;
  readonly oldestMs: number | undefined;
  readonly deadLetters: number;
}

/**
 * The table of accepted events. Depth and bytes are derived from the rows at start and then kept beside them,
 * so that neither can drift from the truth for longer than a run (S5).
 */
export class EventSpool {
  readonly #database: Database;
  readonly #wallMs: () => number;
  #depth: number;
  #bytes: number;
  #acked: number;
  /** Later ones are in the table but may be lost with the power; nobody is shown them, or a number could be used twice (S3). */
  #durableSeq: number;

  constructor(database: Database, wallMs: () => number) {
    this.#database = database;
    this.#wallMs = wallMs;
    this.#acked = (database.prepare("SELECT acked_seq FROM delivery").get() as { acked_seq: number }).acked_seq;
    const waiting = database
      .prepare("SELECT count(*) AS depth, coalesce(sum(octet_length(body)), 0) AS bytes FROM events WHERE seq > ?")
      .get(this.#acked) as { depth: number; bytes: number };
    this.#depth = waiting.depth;
    this.#bytes = waiting.bytes;
    this.#durableSeq = this.nextSeq - 1;
  }

  get epoch(): string {
    return this.#database.epoch;
  }

  /** Accepted and not yet taken by the cloud. */
  get depth(): number {
    return this.#depth;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get nextSeq(): number {
    const row = this.#database.prepare("SELECT seq FROM sqlite_sequence WHERE name = 'events'").get();
    return ((row as { seq: number } | undefined)?.seq ?? 0) + 1;
  }

  /** Resolves with the sequence number once the event is durable (S1). */
  async append(event: NewEvent, urgency: Urgency = "now"): Promise<number> {
    const store = (): number => {
      const insert = this.#database.prepare(
        "INSERT INTO events (event_id, event_type, body, accepted_ms) VALUES (?, ?, ?, ?)",
      );
      return Number(insert.run(event.id, event.type, event.body, this.#wallMs()).lastInsertRowid);
    };
    const seq = await this.#database.write(store, urgency);
    this.#durableSeq = Math.max(this.#durableSeq, seq);
    this.#depth += 1;
    this.#bytes += Buffer.byteLength(event.body);
    return seq;
  }

  /** The next events for the cloud, in order. */
  pending(limit: number): SpooledEvent[] {
    return this.after(this.#acked, limit);
  }

  after(seq: number, limit: number): SpooledEvent[] {
    const select = "SELECT seq, event_type AS type, body FROM events WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?";
    return this.#database.prepare(select).all(seq, this.#durableSeq, limit) as unknown as SpooledEvent[];
  }

  /** The oldest event that is still here, delivered or not. */
  oldestSeq(): number | undefined {
    const row = this.#database.prepare("SELECT min(seq) AS seq FROM events").get() as { seq: number | null };
    return row.seq ?? undefined;
  }

  /**
   * The cloud has taken everything up to `seq`; what it refused is set aside, never dropped (S2). Said twice, or late, it
   * changes nothing: at a stop the last flush may ship what the loop is shipping.
   */
  async acknowledge(seq: number, refused: ReadonlyMap<number, string>): Promise<void> {
    const taken = await this.#database.write(() => {
      const keep = this.#database.prepare(
        "INSERT OR REPLACE INTO dead_letters SELECT seq, body, ?, ? FROM events WHERE seq = ?",
      );
      for (const [refusedSeq, reason] of refused) keep.run(reason, this.#wallMs(), refusedSeq);
      const figures = this.#database
        .prepare(
          "SELECT count(*) AS depth, coalesce(sum(octet_length(body)), 0) AS bytes FROM events WHERE seq > (SELECT acked_seq FROM delivery) AND seq <= ?",
        )
        .get(seq) as { depth: number; bytes: number };
      this.#database.prepare("UPDATE delivery SET acked_seq = max(acked_seq, ?)").run(seq);
      return figures;
    });
    this.#acked = Math.max(this.#acked, seq);
    this.#depth -= taken.depth;
    this.#bytes -= taken.bytes;
  }

  /** Deletes delivered events beyond the newest `keep`, at most `limit` at a time so that no write takes long. */
  async prune(keep: number, limit: number): Promise<number> {
    return this.#database.write(() => {
      const upTo = Math.min(this.#acked, this.nextSeq - 1 - keep);
      const remove = "DELETE FROM events WHERE seq IN (SELECT seq FROM events WHERE seq <= ? ORDER BY seq LIMIT ?)";
      return Number(this.#database.prepare(remove).run(upTo, limit).changes);
    });
  }

  /** Without a cloud nothing is ever delivered: local readers have the newest, within both limits, and the oldest go. */
  async keepNewest(keep: number, bytesMax: number): Promise<void> {
    const upTo = Math.max(this.nextSeq - 1 - Math.floor(keep), this.#bytes > bytesMax ? this.#lastBehind(bytesMax) : 0);
    if (upTo <= this.#acked) return;
    await this.acknowledge(upTo, new Map());
    while ((await this.prune(0, 1_000)) === 1_000);
  }

  /** The newest event that does not fit any more when the newest fill `bytes`. */
  #lastBehind(bytes: number): number {
    const row = this.#database
      .prepare(
        "SELECT max(seq) AS seq FROM (SELECT seq, sum(octet_length(body)) OVER (ORDER BY seq DESC) AS filled FROM events WHERE seq > ?) WHERE filled > ?",
      )
      .get(this.#acked, bytes) as { seq: number | null };
    return row.seq ?? 0;
  }

  figures(): SpoolFigures {
    const oldest = this.#database.prepare("SELECT accepted_ms FROM events WHERE seq > ? ORDER BY seq LIMIT 1");
    const dead = this.#database.prepare("SELECT count(*) AS count FROM dead_letters").get() as { count: number };
    const first = oldest.get(this.#acked) as { accepted_ms: number } | undefined;
    return { depth: this.#depth, bytes: this.#bytes, oldestMs: first?.accepted_ms, deadLetters: dead.count };
  }
}
