import type { Gap } from "@hl/protocol/event-lanes.ts";
import type { Database } from "./database.ts";

/** What is kept of refused events; beyond it the oldest go. Research: fleet-agents (d.4). */
export const deadLettersMax = 10_000;
export const deadLetterBytesMax = 16 * 2 ** 20;
/** So much less there is after the oldest have gone, so that not each new one tells of another gap. */
const keptShare = 7 / 8;

/** Events that the cloud has refused, with its reason (S2). Its methods that write are for use inside `Database.write`. */
export class DeadLetters {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  get count(): number {
    const row = this.#database.prepare("SELECT count(*) AS count FROM dead_letters").get();
    return (row as { count: number }).count;
  }

  /** Sets refused events aside. Answers what went for them. */
  add(refused: ReadonlyMap<number, string>, wallMs: number): Gap | undefined {
    if (refused.size === 0) return undefined;
    const keep = this.#database.prepare(
      "INSERT OR REPLACE INTO dead_letters SELECT seq, body, ?, ? FROM events WHERE seq = ?",
    );
    for (const [seq, reason] of refused) keep.run(reason, wallMs, seq);
    const { count, bytes } = this.#figures();
    if (count <= deadLettersMax && bytes <= deadLetterBytesMax) return undefined;
    return this.#dropOldest(count, bytes);
  }

  #dropOldest(count: number, bytes: number): Gap {
    const rows = this.#database
      .prepare("SELECT seq, octet_length(body) AS size FROM dead_letters ORDER BY seq")
      .all() as { seq: number; size: number }[];
    let dropped = 0;
    let droppedBytes = 0;
    const fits = (): boolean =>
      count - dropped <= deadLettersMax * keptShare && bytes - droppedBytes <= deadLetterBytesMax * keptShare;
    while (!fits()) droppedBytes += rows[dropped++]?.size ?? 0;
    const [from, to] = [rows[0]?.seq ?? 0, rows[dropped - 1]?.seq ?? 0];
    this.#database.prepare("DELETE FROM dead_letters WHERE seq <= ?").run(to);
    return { lane: null, from, to, count: dropped, bytes: droppedBytes, reason: "dead letters were over their room" };
  }

  #figures(): { readonly count: number; readonly bytes: number } {
    return this.#database
      .prepare("SELECT count(*) AS count, coalesce(sum(octet_length(body)), 0) AS bytes FROM dead_letters")
      .get() as { count: number; bytes: number };
  }
}
