import { isUtf8 } from "node:buffer";
import { lstat, readdir, readlink } from "node:fs/promises";
import { join } from "node:path";
import type { ParamsOf, ResultOf } from "@hl/protocol/method.ts";
import type { fileList, ListedFile } from "@hl/protocol/methods/file-list.ts";
import type { Access } from "./access.ts";
import { describe } from "./describe-file.ts";
import { isCode } from "./file-error.ts";
import { Folder } from "./folder.ts";
import { GitIgnore } from "./gitignore.ts";

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
    let found: Found[];
    try {
      found = await readLevel(access, level, params, signal);
    } catch (error) {
      if (level.path === "" || !isGone(error)) throw error;
      if (isCode(error, "EACCES", "EPERM")) unreadable.push(level.path);
      continue;
    }
    for (const { entry, inner } of found) {
      bytesLeft -=
        entryBytes + JSON.stringify(entry.path).length + (entry.path_base64?.length ?? 0) + (entry.target?.length ?? 0);
      if (entries.length >= params.limit || bytesLeft < 0) return { path: top, entries, truncated: true, unreadable };
      entries.push(entry);
      if (inner !== undefined) waiting.push(inner);
    }
  }
  return { path: top, entries, truncated: false, unreadable };
}

interface Found {
  readonly entry: ListedFile;
  /** What is listed next of it. */
  readonly inner: Level | undefined;
}

async function readLevel(access: Access, level: Level, params: ListParams, signal: AbortSignal): Promise<Found[]> {
  await using folder = await Folder.open(access, level.place);
  const ignored = await level.ignored?.within(access, folder.path);
  const names = await readdir(folder.self, { encoding: "buffer" });
  const found: Found[] = [];
  for (const bytes of names.sort((one, other) => one.compare(other))) {
    signal.throwIfAborted();
    const name = bytes.toString("utf8");
    const place = join(folder.path, name);
    if ((!params.include_hidden && name.startsWith(".")) || access.isBlocked(place)) continue;
    const described = await describeEntry(folder, bytes);
    if (described === undefined) continue; // Removed just now.
    const isFolder = described.type === "directory";
    if (ignored?.ignores(place, isFolder) === true) continue;
    const path = level.path === "" ? name : `${level.path}/${name}`;
    const isText = isUtf8(bytes);
    const deeper = isFolder && isText && level.depth < params.depth;
    found.push({
      entry: { path, ...(isText ? {} : { path_base64: bytes.toString("base64") }), ...described },
      inner: deeper ? { place, path, depth: level.depth + 1, ignored } : undefined,
    });
    // More cannot be answered, and a folder may have millions.
    if (found.length > params.limit) break;
  }
  return found;
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
