import type { Database } from "./database.ts";

/** What is known of a command across restarts. `ending` is the JSON of its end; null while nobody has seen one. */
export interface CommandRecord {
  readonly commandId: string;
  readonly runId: string;
  readonly paramsHash: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly bootId: string;
  readonly startedMs: number;
  readonly endedMs: number | undefined;
  readonly ending: unknown;
  /** Output that its log holds; 0 before the end. */
  readonly logBytes: number;
}

/** Finished commands, counted. */
export interface FinishedFigures {
  readonly count: number;
  readonly logBytes: number;
}

/** Where a walk through the finished ones continues. */
export type FinishedPlace = Readonly<{ endedMs: number; commandId: string }>;

interface Row {
  readonly command_id: string;
  readonly run_id: string;
  readonly params_hash: string;
  readonly command: string;
  readonly args: string;
  readonly boot_id: string;
  readonly started_ms: number;
  readonly ended_ms: number | null;
  readonly ending: string | null;
  readonly log_bytes: number;
}

const ofRow = (row: Row): CommandRecord => ({
  commandId: row.command_id,
  runId: row.run_id,
  paramsHash: row.params_hash,
  command: row.command,
  args: JSON.parse(row.args) as string[],
  bootId: row.boot_id,
  startedMs: row.started_ms,
  endedMs: row.ended_ms ?? undefined,
  ending: row.ending === null ? undefined : (JSON.parse(row.ending) as unknown),
  logBytes: row.log_bytes,
});

/** The table of commands. The figures are derived from the rows at start and then kept beside them (S5). */
export class CommandRecords {
  readonly #database: Database;
  #finished: FinishedFigures;

  constructor(database: Database) {
    this.#database = database;
    this.#finished = this.#derive();
  }

  /** Another file has taken the place of a corrupt one. */
  reload(): void {
    this.#finished = this.#derive();
  }

  #derive(): FinishedFigures {
    const figures = this.#database
      .prepare(
        "SELECT count(*) AS count, coalesce(sum(log_bytes), 0) AS logBytes FROM commands WHERE ended_ms IS NOT NULL",
      )
      .get() as unknown as FinishedFigures;
    return { ...figures };
  }

  get finished(): FinishedFigures {
    return this.#finished;
  }

  /** Resolves once the record is durable: only then may the command start (C1). */
  begin(record: Omit<CommandRecord, "endedMs" | "ending" | "logBytes">): Promise<void> {
    const store = (): void => {
      this.#database
        .prepare(
          "INSERT INTO commands (command_id, run_id, params_hash, command, args, boot_id, started_ms) VALUES (?, ?, ?, ?, ?, ?, ?)",
        )
        .run(
          record.commandId,
          record.runId,
          record.paramsHash,
          record.command,
          JSON.stringify(record.args),
          record.bootId,
          record.startedMs,
        );
    };
    return this.#database.write(store, "ahead");
  }

  /** A command that never came to life leaves no trace: the caller has its error and may ask again. */
  abandon(commandId: string): Promise<void> {
    return this.#database.write(() => {
      this.#database.prepare("DELETE FROM commands WHERE command_id = ? AND ending IS NULL").run(commandId);
    });
  }

  /** The first end wins. Nobody waits for it: the shim keeps its own record until it is told that this one is durable (P3). */
  async end(commandId: string, endedMs: number, ending: unknown, logBytes: number): Promise<void> {
    const store = (): number | bigint =>
      this.#database
        .prepare("UPDATE commands SET ended_ms = ?, ending = ?, log_bytes = ? WHERE command_id = ? AND ending IS NULL")
        .run(endedMs, JSON.stringify(ending), logBytes, commandId).changes;
    const changed = Number(await this.#database.write(store, "soon"));
    this.#count(changed, changed * logBytes);
  }

  /** What the command has left running has written more (P4). */
  async grow(commandId: string, logBytes: number): Promise<void> {
    const grown = await this.#database.write(() => {
      const before = this.find(commandId);
      if (before?.ending === undefined) return 0;
      this.#database.prepare("UPDATE commands SET log_bytes = ? WHERE command_id = ?").run(logBytes, commandId);
      return logBytes - before.logBytes;
    }, "soon");
    this.#count(0, grown);
  }

  find(commandId: string): CommandRecord | undefined {
    return this.#all("SELECT * FROM commands WHERE command_id = ?", commandId)[0];
  }

  unfinished(): CommandRecord[] {
    return this.#all("SELECT * FROM commands WHERE ending IS NULL");
  }

  newest(limit: number): CommandRecord[] {
    return this.#all("SELECT * FROM commands ORDER BY started_ms DESC LIMIT ?", limit);
  }

  /** Finished ones, the oldest end first, from behind `after` on. */
  oldest(limit: number, after: FinishedPlace = { endedMs: -1, commandId: "" }): CommandRecord[] {
    const sql =
      "SELECT * FROM commands WHERE ended_ms IS NOT NULL AND (ended_ms, command_id) > (?, ?) ORDER BY ended_ms, command_id LIMIT ?";
    return this.#all(sql, after.endedMs, after.commandId, limit);
  }

  /** The command of each run; there is no index, for this is asked once a start. */
  commandIdsByRun(): Map<string, string> {
    const rows = this.#database.prepare("SELECT run_id, command_id FROM commands").all();
    return new Map((rows as { run_id: string; command_id: string }[]).map((row) => [row.run_id, row.command_id]));
  }

  /** Finished ones only. */
  async forget(commandIds: readonly string[]): Promise<void> {
    const gone = await this.#database.write(() => {
      const remove = this.#database.prepare(
        "DELETE FROM commands WHERE command_id = ? AND ending IS NOT NULL RETURNING log_bytes",
      );
      return commandIds.flatMap((id) => remove.all(id) as { log_bytes: number }[]);
    });
    this.#count(-gone.length, -gone.reduce((sum, { log_bytes: bytes }) => sum + bytes, 0));
  }

  #count(commands: number, logBytes: number): void {
    this.#finished = { count: this.#finished.count + commands, logBytes: this.#finished.logBytes + logBytes };
  }

  #all(sql: string, ...values: (string | number)[]): CommandRecord[] {
    return this.#database.read(() => (this.#database.prepare(sql).all(...values) as unknown as Row[]).map(ofRow));
  }
}
