import { chmodSync, closeSync, mkdirSync, openSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { GroupCommit } from "./group-commit.ts";
import { migrations } from "./migrations/migrations.ts";
import { SqliteCredentials } from "./sqlite-credentials.ts";
import { SqliteEvents } from "./sqlite-events.ts";
import { SqliteInstances } from "./sqlite-instances.ts";
import { SqliteOperators } from "./sqlite-operators.ts";
import { SqliteRequests } from "./sqlite-requests.ts";
import type { Store } from "./store.ts";

/** How long a write waits for another process, for example `hl-cloud enroll` beside a running server. */
const busyMsMax = 5_000;

/** Opens, and at first use makes, HOME/cloud.db. Several processes may have it open at once. */
export function openSqliteStore(home: string): Store {
  mkdirSync(home, { recursive: true, mode: 0o700 });
  const path = join(home, "cloud.db");
  // Created by ourselves so that it is never readable for others, not even for a moment; SQLite copies the mode to the WAL.
  closeSync(openSync(path, "a", 0o600));
  chmodSync(path, 0o600);
  const database = new DatabaseSync(path);
  try {
    database.exec(`pragma busy_timeout = ${busyMsMax}`);
    database.exec("pragma journal_mode = wal");
    database.exec("pragma synchronous = full");
    migrate(database, path);
  } catch (error) {
    database.close();
    throw error;
  }
  const commit = new GroupCommit(database);
  return {
    instances: new SqliteInstances(database, commit),
    credentials: new SqliteCredentials(database, commit),
    operators: new SqliteOperators(database, commit),
    events: new SqliteEvents(database, commit),
    requests: new SqliteRequests(database, commit),
    async [Symbol.asyncDispose]() {
      if (!database.isOpen) return;
      commit.flush();
      database.close();
    },
  };
}

function migrate(database: DatabaseSync, path: string): void {
  database.exec("begin immediate"); // Two programs may meet a new database at the same moment.
  try {
    const row = database.prepare("pragma user_version").get() as { user_version: number };
    const has = row.user_version;
    if (has > migrations.length) {
      throw new Error(`${path} was written by a newer hl-cloud (schema ${has}, this one knows ${migrations.length})`);
    }
    for (const migration of migrations.slice(has)) database.exec(migration);
    database.exec(`pragma user_version = ${migrations.length}`);
    database.exec("commit");
  } catch (error) {
    if (database.isTransaction) database.exec("rollback");
    throw error;
  }
}
