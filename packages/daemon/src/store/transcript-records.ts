import type { Database } from "./database.ts";

/** Which event of which line of an agent's log: the same when the log is read again. */
export interface LogPlace {
  readonly runId: string;
  /** The byte behind the line. */
  readonly position: number;
  /** Which of the events of that line, and of what came before the next one. */
  readonly index: number;
}

export interface TranscriptRow {
  readonly seq: number;
  readonly place: LogPlace;
  /** JSON, without secrets (X4). */
  readonly body: string;
}

/** What is kept of one agent. */
export interface TranscriptUse {
  readonly firstSeq: number | undefined;
  readonly bytes: number;
  readonly last: Pick<TranscriptRow, "seq" | "place"> | undefined;
}

/** What agents said and did, kept as long as the agent is listed and within a limit for each (S5). */
export class TranscriptRecords {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  /** Nobody waits for it: until it is on disk, the log has it. */
  append(processId: string, { seq, place, body }: TranscriptRow): Promise<void> {
    return this.#database.write(() => {
      this.#database
        .prepare(
          "INSERT OR REPLACE INTO agent_events (process_id, seq, run_id, log_position, line_index, bytes, body) " +
            "VALUES (?, ?, ?, ?, ?, ?, ?)",
        )
        .run(processId, seq, place.runId, place.position, place.index, Buffer.byteLength(body), body);
    }, "soon");
  }

  use(processId: string): TranscriptUse {
    const sums = this.#database
      .prepare("SELECT min(seq) AS first, coalesce(sum(bytes), 0) AS bytes FROM agent_events WHERE process_id = ?")
      .get(processId) as { first: number | null; bytes: number };
    const last = this.#database
      .prepare(
        'SELECT seq, run_id AS runId, log_position AS position, line_index AS "index" FROM agent_events ' +
          "WHERE process_id = ? ORDER BY seq DESC LIMIT 1",
      )
      .get(processId) as ({ seq: number } & LogPlace) | undefined;
    return {
      firstSeq: sums.first ?? undefined,
      bytes: sums.bytes,
      last: last && { seq: last.seq, place: { runId: last.runId, position: last.position, index: last.index } },
    };
  }

  firstSeq(processId: string): number | undefined {
    const row = this.#database
      .prepare("SELECT seq FROM agent_events WHERE process_id = ? ORDER BY seq LIMIT 1")
      .get(processId) as { seq: number } | undefined;
    return row?.seq;
  }

  /** The next ones behind `after`, up to `upTo`, in order. */
  read(processId: string, after: number, upTo: number, limit: number): { seq: number; item: unknown }[] {
    const select = this.#database.prepare(
      "SELECT seq, body FROM agent_events WHERE process_id = ? AND seq > ? AND seq <= ? ORDER BY seq LIMIT ?",
    );
    return this.#database.read(() =>
      (select.all(processId, after, upTo, limit) as { seq: number; body: string }[]).map(({ seq, body }) => ({
        seq,
        item: JSON.parse(body) as unknown,
      })),
    );
  }

  /** The oldest go until no more than `bytesMax` are left; the newest always stays. */
  trim(processId: string, bytesMax: number): Promise<void> {
    return this.#database.write(() => {
      this.#database
        .prepare(
          "DELETE FROM agent_events WHERE process_id = ?1 AND seq <= (SELECT max(seq) FROM " +
            "(SELECT seq, sum(bytes) OVER (ORDER BY seq DESC) AS newer FROM agent_events WHERE process_id = ?1) " +
            "WHERE newer > ?2) AND seq < (SELECT max(seq) FROM agent_events WHERE process_id = ?1)",
        )
        .run(processId, bytesMax);
    }, "soon");
  }
}
