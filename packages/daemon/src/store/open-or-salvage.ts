import { accessSync, constants, existsSync, readdirSync, renameSync, rmSync, statSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import type { DatabaseSync } from "node:sqlite";
import { errorText, type Logger } from "@hl/core/logger.ts";
import { openDatabase, WrittenByNewer } from "@hl/core/store/open-database.ts";
import { isCorrupt, isOddSchema } from "@hl/core/store/sqlite-error.ts";
import { migrations } from "./migrations.ts";
import { salvage } from "./salvage.ts";

const program = "hl-daemon";
const aside = ".corrupt-";
/** No program has so many steps of its schema: what claims so is a flipped bit. */
const schemaMax = 1_000;

export interface Where {
  readonly path: string;
  readonly logger: Logger;
  /** Now; for names and for what is told. */
  readonly wallMs: number;
}

/**
 * Opens the database; one that is corrupt is set aside as `….corrupt-TIME` and what can be read of it is saved in a new one (S4). A
 * crash on the way is taken up at the next start: the new file gets its name when it is whole.
 * @param corruption what was found, when the file at `path` is known to be corrupt
 */
export function openOrSalvage(where: Where, corruption?: string): DatabaseSync {
  const { path } = where;
  const found = corruption ?? problemOf(path);
  if (found !== undefined) setAside(where);
  if (existsSync(path)) {
    try {
      return openDatabase({ path, program, migrations });
    } catch (error) {
      if (!isDamage(error, path)) throw error;
      setAside(where);
      saveFrom(where, errorText(error));
    }
  } else if (setAsideFile(path) !== undefined) saveFrom(where, found ?? "the daemon ended while it was set aside");
  return openDatabase({ path, program, migrations });
}

/** The corrupt file that is kept, if there is one. */
export function setAsideFile(path: string): string | undefined {
  const prefix = `${basename(path)}${aside}`;
  const names = readdirSync(dirname(path)).filter((name) => name.startsWith(prefix) && !/-(?:wal|shm)$/.test(name));
  const newest = names.sort().at(-1);
  return newest === undefined ? undefined : join(dirname(path), newest);
}

/** SQLite takes an empty file for a new database; one that was there before us has lost what was in it. */
function problemOf(path: string): string | undefined {
  return existsSync(path) && statSync(path).size === 0 ? "the file is empty" : undefined;
}

function isDamage(error: unknown, path: string): boolean {
  if (error instanceof WrittenByNewer) return error.schema > schemaMax || error.schema < 0;
  if (isCorrupt(error)) return true;
  if (!isOddSchema(error)) return false;
  try {
    accessSync(path, constants.W_OK);
    return true;
  } catch {
    return false; // The disk is read-only, not the header of the file.
  }
}

/** Only the newest is kept. */
function setAside({ path, wallMs }: Where): void {
  const time = new Date(wallMs).toISOString().replaceAll(/[-:.]/g, "");
  for (let older = setAsideFile(path); older !== undefined; older = setAsideFile(path)) {
    for (const suffix of ["-wal", "-shm", ""]) rmSync(`${older}${suffix}`, { force: true });
  }
  const kept = `${path}${aside}${time}`;
  if (existsSync(`${path}-wal`)) renameSync(`${path}-wal`, `${kept}-wal`);
  rmSync(`${path}-shm`, { force: true });
  renameSync(path, kept);
}

function saveFrom({ path, logger, wallMs }: Where, reason: string): void {
  const from = setAsideFile(path);
  if (from === undefined) return;
  const into = `${path}.new`;
  const begin = (): DatabaseSync => {
    for (const suffix of ["-wal", "-shm", ""]) rmSync(`${into}${suffix}`, { force: true });
    return openDatabase({ path: into, program, migrations });
  };
  let database = begin();
  try {
    const report = salvage(from, database, { reason, wallMs });
    logger.warn({ set_aside: from, ...report }, "what could be read of the corrupt database is saved");
  } catch (error) {
    logger.error({ set_aside: from, error: errorText(error) }, "nothing of the corrupt database could be saved");
    database.close();
    database = begin();
  }
  database.exec("PRAGMA journal_mode = DELETE"); // One file, which can be given its name.
  database.close();
  renameSync(into, path);
}
