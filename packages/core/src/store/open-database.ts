import { chmodSync, closeSync, openSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";

export interface DatabaseOptions {
  readonly path: string;
  /** Who writes it; for the message when a newer version did. */
  readonly program: string;
  /** The schema, one step a version; a released step is never edited, only followed by another. */
  readonly migrations: readonly string[];
}

/** The file has more steps of the schema than this program knows. */
export class WrittenByNewer extends Error {
  override readonly name = "WrittenByNewer";
  readonly schema: number;

  constructor(path: string, program: string, schema: number, known: number) {
    super(`${path} was written by a newer ${program} (schema ${schema}, this one knows ${known})`);
    this.schema = schema;
  }
}

/** How long a write waits for another process, for example a subcommand beside a running server. */
const busyMsMax = 5_000;

/**
 * Opens, and at first use makes, a database for durable state: write-ahead log, a commit is on disk before it is told
 * (S1, S5), readable for its owner alone (X4). Throws when a newer program has written it.
 */
export function openDatabase(options: DatabaseOptions): DatabaseSync {
  const { path } = options;
  // Made by ourselves so that it is never readable for others, not even for a moment; SQLite copies the mode to its log.
  closeSync(openSync(path, "a", 0o600));
  chmodSync(path, 0o600);
  const database = new DatabaseSync(path, { timeout: busyMsMax });
  try {
    database.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;");
    migrate(database, options);
    return database;
  } catch (error) {
    database.close();
    throw error;
  }
}

function migrate(database: DatabaseSync, { path, program, migrations }: DatabaseOptions): void {
  database.exec("BEGIN IMMEDIATE"); // Two programs may meet a new database at the same moment.
  try {
    const { user_version: has } = database.prepare("PRAGMA user_version").get() as { user_version: number };
    if (has > migrations.length || has < 0) {
      throw new WrittenByNewer(path, program, has, migrations.length);
    }
    for (const migration of migrations.slice(has)) database.exec(migration);
    database.exec(`PRAGMA user_version = ${migrations.length}`);
    database.exec("COMMIT");
  } catch (error) {
    if (database.isTransaction) database.exec("ROLLBACK");
    throw error;
  }
}
