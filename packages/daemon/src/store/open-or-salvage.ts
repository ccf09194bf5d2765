import {
  accessSync,
  closeSync,
  constants,
  existsSync,
  fsyncSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import type { DatabaseSync } from "node:sqlite";
import { errorText, type Logger } from "@hl/core/logger.ts";
import { openDatabase, WrittenByNewer } from "@hl/core/store/open-database.ts";
import { isCorrupt, isOddSchema } from "@hl/core/store/sqlite-error.ts";
import { migrations } from "./migrations.ts";
import { salvage, type Rescued, type Steps } from "./salvage.ts";

const program = "hl-daemon";
const aside = ".corrupt-";
const stepsPerSync = 64;
/** No program has so many steps of its schema: what claims so is a flipped bit. */
const schemaMax = 1_000;

export interface Opened {
  readonly sqlite: DatabaseSync;
  /** What of events was saved of a corrupt file; undefined where none was. */
  readonly rescued: Rescued | undefined;
}

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
export function* openOrSalvage(where: Where, corruption?: string): Steps<Opened> {
  const { path } = where;
  const found = corruption ?? problemOf(path);
  if (found !== undefined) setAside(where);
  let rescued: Rescued | undefined;
  if (existsSync(path)) {
    try {
      return { sqlite: openDatabase({ path, program, migrations }), rescued };
    } catch (error) {
      if (!isDamage(error, path)) throw error;
      setAside(where);
      rescued = yield* saveFrom(where, errorText(error));
    }
  } else if (setAsideFile(path) !== undefined)
    rescued = yield* saveFrom(where, found ?? "the daemon ended while it was set aside");
  return { sqlite: openDatabase({ path, program, migrations }), rescued };
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

function* saveFrom({ path, logger, wallMs }: Where, reason: string): Steps<Rescued | undefined> {
  const from = setAsideFile(path);
  if (from === undefined) return undefined;
  const into = `${path}.new`;
  const begin = (): DatabaseSync => {
    for (const suffix of ["-wal", "-shm", ""]) rmSync(`${into}${suffix}`, { force: true });
    const opened = openDatabase({ path: into, program, migrations });
    // Begun anew after a crash, it needs no journal on the disk; it is one file, which is synced before it is given its name.
    opened.exec("PRAGMA journal_mode = DELETE; PRAGMA journal_mode = MEMORY; PRAGMA synchronous = OFF");
    return opened;
  };
  let database = begin();
  let isWhole = false;
  let rescued: Rescued | undefined;
  try {
    const { waiting, ...report } = yield* synced(into, salvage(from, database, { reason, wallMs }));
    rescued = waiting;
    logger.warn({ set_aside: from, ...report }, "what could be read of the corrupt database is saved");
    isWhole = true;
  } catch (error) {
    logger.error({ set_aside: from, error: errorText(error) }, "nothing of the corrupt database could be saved");
    database.close();
    database = begin();
    isWhole = true;
  } finally {
    if (!isWhole && database.isOpen) database.close(); // Nobody goes on with it.
  }
  database.close();
  syncFile(into);
  renameSync(into, path);
  return rescued;
}

/** A little at a time: one sync of all of it at the end would take as long as all else. */
function* synced<T>(path: string, steps: Steps<T>): Steps<T> {
  try {
    for (let count = 1; ; count += 1) {
      const { done, value } = steps.next();
      if (done === true) return value;
      if (count % stepsPerSync === 0) syncFile(path);
      yield;
    }
  } finally {
    steps.return(undefined as T);
  }
}

function syncFile(path: string): void {
  const file = openSync(path, "r+");
  try {
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}
