import { closeSync, openSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";

/**
 * Keeps a second server off the same home: both would redeliver the same requests. The lock is SQLite's own, on a file
 * beside the database, because Node has no flock and a pid file outlives a crash.
 */
export function lockHome(home: string): Disposable {
  const path = join(home, "serve.lock");
  closeSync(openSync(path, "a", 0o600));
  const database = new DatabaseSync(path);
  try {
    database.exec("pragma busy_timeout = 0; pragma locking_mode = exclusive; begin exclusive");
  } catch {
    database.close();
    throw new Error(`another hl-cloud serves ${home}; stop it first, or use another --home`);
  }
  return {
    [Symbol.dispose]() {
      if (database.isOpen) database.close();
    },
  };
}
