import { readdirSync, rmSync, statSync } from "node:fs";
import { basename, dirname, join } from "node:path";

/** A log that the daemon writes; its rotated files lie beside it as `NAME.NUMBER` and `NAME.NUMBER.gz`. */
export interface OwnLog {
  readonly path: string;
  /** Its rotated files may go when the logs grow too large; never those of an audit log. */
  readonly isSpare: boolean;
}

interface LogFile {
  readonly path: string;
  readonly bytes: number;
  readonly changedMs: number;
  readonly isSpare: boolean;
}

/** Bytes of the logs with their rotated files, and of nobody else's files beside them. */
export function logBytes(logs: readonly OwnLog[]): number {
  return sum(filesOf(logs));
}

/** Removes the oldest spare rotated files until all take no more than that; answers how many bytes went. */
export function trimLogs(logs: readonly OwnLog[], bytesMax: number): number {
  const files = filesOf(logs);
  const spare = files.filter(({ isSpare }) => isSpare).sort((a, b) => a.changedMs - b.changedMs);
  let left = sum(files);
  let removed = 0;
  for (const { path, bytes } of spare) {
    if (left <= bytesMax) break;
    rmSync(path, { force: true });
    left -= bytes;
    removed += bytes;
  }
  return removed;
}

function sum(files: readonly LogFile[]): number {
  return files.reduce((bytes, file) => bytes + file.bytes, 0);
}

/** Each folder is read once, however many of the logs are in it. */
function filesOf(logs: readonly OwnLog[]): LogFile[] {
  const folders = Map.groupBy(logs, ({ path }) => dirname(path));
  return [...folders].flatMap(([folder, own]) =>
    namesIn(folder).flatMap((name) => own.flatMap((log) => fileOf(log, name))),
  );
}

/** A folder that cannot be read has none (S4). */
function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

function fileOf(log: OwnLog, name: string): LogFile[] {
  const own = basename(log.path);
  const isRotated = name.startsWith(`${own}.`) && /^\.\d+(?:\.gz)?$/.test(name.slice(own.length));
  if (name !== own && !isRotated) return [];
  const path = join(dirname(log.path), name);
  const stat = statSync(path, { throwIfNoEntry: false }); // A rotation may take it away meanwhile.
  if (stat?.isFile() !== true) return [];
  return [{ path, bytes: stat.size, changedMs: stat.mtimeMs, isSpare: log.isSpare && isRotated }];
}
