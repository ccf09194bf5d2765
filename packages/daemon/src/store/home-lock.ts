import { closeSync, openSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";

const sqliteBusy = 5;

/**
 * Keeps a second daemon off the same home before it has touched anything there: it would attach to the first one's commands and
 * write to its database. The lock is SQLite's own, on an empty file, because Node has no flock and a pid file outlives a crash.
 */
export function lockHome(home: string, path: string): Disposable {
  closeSync(openSync(path, "a", 0o600));
  const database = new DatabaseSync(path);
  try {
    database.exec("pragma busy_timeout = 0; pragma locking_mode = exclusive; begin exclusive");
  } catch (error) {
    database.close();
    if ((error as { errcode?: unknown }).errcode !== sqliteBusy) throw error;
    throw new Error(`another hl-daemon runs on ${home}; stop it first, or use another --home`, { cause: error });
  }
  return {
    [Symbol.dispose]() {
      if (database.isOpen) database.close();
    },
  };
}
