import { isUtf8 } from "node:buffer";
import { lstat, readlink } from "node:fs/promises";
import { join } from "node:path";
import type { ParamsOf, ResultOf } from "@hl/protocol/method.ts";
import type { fileList, ListedFile } from "@hl/protocol/methods/file-list.ts";
import type { Access } from "./access.ts";
import { describe } from "./describe-file.ts";
import { isCode } from "./file-error.ts";
import { Folder } from "./folder.ts";
import { GitIgnore } from "./gitignore.ts";
import { SmallestNames } from "./smallest-names.ts";

/** Of the entries as JSON, roughly: answers wait for their reader in a log of bounded size. */
const answerBytesMax = 1_048_576;
/** What an entry takes beside its names. */
const entryBytes = 128;

interface Level {
  readonly place: string;
  /** From the folder that is listed; empty for itself. */
  readonly path: string;
  readonly depth: number;
  readonly ignored: GitIgnore | undefined;
}

type ListParams = ParamsOf<typeof fileList>;

/** file/list: level by level, so that a limit leaves out what is furthest away. */
export async function listFolder(
  access: Access,
  params: ListParams,
  signal: AbortSignal,
): Promise<ResultOf<typeof fileList>> {
  const top = access.follow(params.path);
  const ignored = params.gitignore ? await GitIgnore.above(access, top) : undefined;
  const waiting: Level[] = [{ place: top, path: "", depth: 1, ignored }];
  const entries: ListedFile[] = [];
  const unreadable: string[] = [];
  let bytesLeft = answerBytesMax;
  for (let level = waiting.shift(); level !== undefined; level = waiting.shift()) {
    let read: LevelEntries;
    try {
      read = await readLevel(access, level, { ...params, limit: params.limit - entries.length }, signal);
    } catch (error) {
      if (level.path === "" || !isGone(error)) throw error;
      if (isCode(error, "EACCES", "EPERM")) unreadable.push(level.path);
      continue;
    }
    for (const { entry, inner } of read.found) {
      bytesLeft -=
        entryBytes + JSON.stringify(entry.path).length + (entry.path_base64?.length ?? 0) + (entry.target?.length ?? 0);
      if (bytesLeft < 0) return { path: top, entries, truncated: true, unreadable };
      entries.push(entry);
      if (inner !== undefined) waiting.push(inner);
    }
    if (read.isCut) return { path: top, entries, truncated: true, unreadable };
  }
  return { path: top, entries, truncated: false, unreadable };
}

interface LevelEntries {
  readonly found: readonly Found[];
  /** It has more of them. */
  readonly isCut: boolean;
}

interface Found {
  readonly entry: ListedFile;
  /** What is listed next of it. */
  readonly inner: Level | undefined;
}

/** The first entries of a folder by their names; what is left out is judged before it takes the place of another. */
async function readLevel(access: Access, level: Level, params: ListParams, signal: AbortSignal): Promise<LevelEntries> {
  await using folder = await Folder.open(access, level.place);
  const ignored = await level.ignored?.within(access, folder.path);
  const isListed = (name: string, isFolder: boolean): boolean => {
    const place = join(folder.path, name);
    if ((!params.include_hidden && name.startsWith(".")) || access.isBlocked(place)) return false;
    return ignored?.ignores(place, isFolder) !== true;
  };
  const names = new SmallestNames(params.limit);
  for await (const entry of await folder.entries()) {
    signal.throwIfAborted();
    if (names.isWanted(entry.name) && isListed(entry.name.toString("utf8"), entry.isDirectory())) names.add(entry.name);
    if (names.isCut && params.limit === 0) break;
  }
  const found: Found[] = [];
  for (const bytes of names.names()) {
    signal.throwIfAborted();
    const described = await describeEntry(folder, bytes);
    if (described === undefined) continue; // Removed just now.
    const name = bytes.toString("utf8");
    const path = level.path === "" ? name : `${level.path}/${name}`;
    const isText = isUtf8(bytes);
    const deeper = described.type === "directory" && isText && level.depth < params.depth;
    found.push({
      entry: { path, ...(isText ? {} : { path_base64: bytes.toString("base64") }), ...described },
      inner: deeper ? { place: join(folder.path, name), path, depth: level.depth + 1, ignored } : undefined,
    });
  }
  return { found, isCut: names.isCut };
}

async function describeEntry(folder: Folder, name: Buffer): Promise<Omit<ListedFile, "path"> | undefined> {
  const way = folder.atBytes(name);
  try {
    const stats = await lstat(way);
    const target = stats.isSymbolicLink() ? { target: await readlink(way) } : {};
    return { ...describe(stats), ...target };
  } catch (error) {
    if (isCode(error, "ENOENT")) return undefined;
    throw error;
  }
}

/** Of a folder below: removed, replaced or closed to us since its parent was read. */
function isGone(error: unknown): boolean {
  return isCode(error, "ENOENT", "ENOTDIR", "ELOOP", "EACCES", "EPERM");
}
