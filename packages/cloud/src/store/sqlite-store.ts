import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { GroupCommit } from "@hl/core/store/group-commit.ts";
import { LogFile } from "@hl/core/store/log-file.ts";
import { openDatabase } from "@hl/core/store/open-database.ts";
import { migrations } from "./migrations/migrations.ts";
import { DurableEvents } from "./durable-reads.ts";
import { SqliteCredentials } from "./sqlite-credentials.ts";
import { SqliteInstances } from "./sqlite-instances.ts";
import { SqliteOperators } from "./sqlite-operators.ts";
import { SqliteRequests } from "./sqlite-requests.ts";
import type { Store } from "./store.ts";

/** Opens, and at first use makes, HOME/cloud.db. Several processes may have it open at once. */
export function openSqliteStore(home: string): Store {
  mkdirSync(home, { recursive: true, mode: 0o700 });
  const path = join(home, "cloud.db");
  const database = openDatabase({ path, program: "hl-cloud", migrations });
  // A sync inside COMMIT would hold the whole fleet: each heartbeat and each answer waits behind the disk.
  const log = new LogFile(database, path);
  const commit = new GroupCommit(database, { log });
  return {
    instances: new SqliteInstances(database, commit),
    credentials: new SqliteCredentials(database, commit),
    operators: new SqliteOperators(database, commit),
    events: new DurableEvents(database, commit),
    requests: new SqliteRequests(database, commit),
    async [Symbol.asyncDispose]() {
      if (!database.isOpen) return;
      commit.flush();
      database.close();
      log[Symbol.dispose]();
    },
  };
}
