import { chmodSync, closeSync, existsSync, fsyncSync, mkdirSync, openSync, readdirSync, readFileSync } from "node:fs";
import { renameSync, rmSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { writeFileAtomic } from "@hl/core/atomic-file.ts";
import { migrations } from "./migrations/migrations.ts";

/**
 * A backup is one SQLite file: the database as it was at one moment, and the keys, without which no VM's token would count any more.
 * So it is as secret as the home itself, and readable for its owner alone (X4).
 *
 * `VACUUM INTO` reads in one transaction: the server goes on writing beside it. SQLite's own backup interface would begin anew at
 * each write of another process, and never end on a busy server.
 */

/** What cannot be done with these paths; nothing was changed. */
export class BackupRefused extends Error {
  override readonly name = "BackupRefused";
}

const busyMsMax = 5_000;

/** @param to must not exist. */
export function backupHome(home: string, to: string): void {
  const path = join(home, "cloud.db");
  if (!existsSync(path)) throw new BackupRefused(`there is no database in ${home}`);
  makeNew(to);
  try {
    using source = new DatabaseSync(path, { readOnly: true, timeout: busyMsMax });
    source.prepare("VACUUM INTO ?").run(to);
    using copy = new DatabaseSync(to);
    copy.exec("CREATE TABLE backup_keys (name TEXT PRIMARY KEY, content BLOB NOT NULL) STRICT; BEGIN");
    const insert = copy.prepare("INSERT INTO backup_keys VALUES (?, ?)");
    for (const name of keyFiles(home)) insert.run(name, readFileSync(join(home, "keys", name)));
    copy.exec("COMMIT");
    syncFolderOf(to);
  } catch (error) {
    rmSync(to, { force: true });
    rmSync(`${to}-journal`, { force: true });
    throw error;
  }
}

/** Makes a home out of a backup. @param home must hold no database yet. */
export function restoreHome(from: string, home: string): void {
  if (existsSync(join(home, "cloud.db"))) {
    throw new BackupRefused(`${home} has a database already; restore into another --home`);
  }
  if (!existsSync(from)) throw new BackupRefused(`there is no file ${from}`);
  mkdirSync(home, { recursive: true, mode: 0o700 });
  const unfinished = join(home, "cloud.db.restoring");
  rmSync(unfinished, { force: true });
  makeNew(unfinished);
  try {
    using source = openBackup(from);
    source.prepare("VACUUM INTO ?").run(unfinished);
    using copy = new DatabaseSync(unfinished);
    const keys = copy.prepare("SELECT name, content FROM backup_keys").all();
    mkdirSync(join(home, "keys"), { recursive: true, mode: 0o700 });
    for (const { name, content } of keys as { name: string; content: Uint8Array }[]) {
      writeFileAtomic(join(home, "keys", name), Buffer.from(content), 0o600);
    }
    copy.exec("DROP TABLE backup_keys; VACUUM");
  } catch (error) {
    rmSync(unfinished, { force: true });
    throw error;
  }
  // Last, and in one step: a home that was restored in part has no database and is not served.
  renameSync(unfinished, join(home, "cloud.db"));
  syncFolderOf(join(home, "cloud.db"));
}

function openBackup(from: string): DatabaseSync {
  const source = new DatabaseSync(from, { readOnly: true });
  try {
    const { user_version: has } = source.prepare("PRAGMA user_version").get() as { user_version: number };
    source.prepare("SELECT count(*) FROM backup_keys").get();
    if (has > migrations.length) throw new BackupRefused(`${from} was made by a newer hl-cloud`);
    return source;
  } catch (error) {
    source.close();
    if (error instanceof BackupRefused) throw error;
    throw new BackupRefused(`${from} is not a backup of hl-cloud`, { cause: error });
  }
}

function keyFiles(home: string): string[] {
  return readdirSync(join(home, "keys")).filter((name) => name === "signing.pem" || name === "refresh.secret");
}

/** Empty and readable for us alone before anything is in it; SQLite then takes it as the output. */
function makeNew(path: string): void {
  try {
    closeSync(openSync(path, "wx", 0o600));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    throw new BackupRefused(`${path} exists already; a backup is never written over`, { cause: error });
  }
  chmodSync(path, 0o600);
}

function syncFolderOf(path: string): void {
  const descriptor = openSync(dirname(resolve(path)), "r");
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}
