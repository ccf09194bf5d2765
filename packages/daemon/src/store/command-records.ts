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
}

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
});

export class CommandRecords {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  /** Resolves once the record is durable: only then may the command start (C1). */
  begin(record: Omit<CommandRecord, "endedMs" | "ending">): Promise<void> {
    return this.#database.write(() => {
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
    });
  }

  /** A command that never came to life leaves no trace: the caller has its error and may ask again. */
  abandon(commandId: string): Promise<void> {
    return this.#database.write(() => {
      this.#database.prepare("DELETE FROM commands WHERE command_id = ? AND ending IS NULL").run(commandId);
    });
  }

  /** The first end wins. Nobody waits for it: the shim keeps its own record until it is told that this one is durable (P3). */
  end(commandId: string, endedMs: number, ending: unknown): Promise<void> {
    const store = (): void => {
      this.#database
        .prepare("UPDATE commands SET ended_ms = ?, ending = ? WHERE command_id = ? AND ending IS NULL")
        .run(endedMs, JSON.stringify(ending), commandId);
    };
    return this.#database.write(store, "soon");
  }

  find(commandId: string): CommandRecord | undefined {
    const row = this.#database.prepare("SELECT * FROM commands WHERE command_id = ?").get(commandId);
    return row === undefined ? undefined : ofRow(row as unknown as Row);
  }

  unfinished(): CommandRecord[] {
    return this.#all("SELECT * FROM commands WHERE ending IS NULL");
  }

  newest(limit: number): CommandRecord[] {
    return this.#all("SELECT * FROM commands ORDER BY started_ms DESC LIMIT ?", limit);
  }

  endedBefore(wallMs: number, limit: number): CommandRecord[] {
    return this.#all("SELECT * FROM commands WHERE ended_ms < ? ORDER BY ended_ms LIMIT ?", wallMs, limit);
  }

  finishedCount(): number {
    const row = this.#database.prepare("SELECT count(*) AS count FROM commands WHERE ending IS NOT NULL").get();
    return (row as { count: number }).count;
  }

  forget(commandIds: readonly string[]): Promise<void> {
    return this.#database.write(() => {
      for (const id of commandIds) this.#database.prepare("DELETE FROM commands WHERE command_id = ?").run(id);
    });
  }

  #all(sql: string, ...values: (string | number)[]): CommandRecord[] {
    return (this.#database.prepare(sql).all(...values) as unknown as Row[]).map(ofRow);
  }
}
