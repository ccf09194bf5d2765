import { lstat, rename, rmdir, unlink, link } from "node:fs/promises";
import { basename, dirname } from "node:path";
import { HlError } from "@hl/protocol/errors.ts";
import type { ParamsOf, ResultOf } from "@hl/protocol/method.ts";
import type { fileMkdir } from "@hl/protocol/methods/file-mkdir.ts";
import type { fileMove } from "@hl/protocol/methods/file-move.ts";
import type { fileRemove } from "@hl/protocol/methods/file-remove.ts";
import type { Access } from "./access.ts";
import { fileError, isCode, onPath } from "./file-error.ts";
import { Folder } from "./folder.ts";

/** Each level of a tree that is removed holds a descriptor. */
const depthMax = 1_000;
/** Names of one level that are held at once (P7). */
const foldersHeldMax = 256;

/** file/mkdir. */
export async function makeFolder(
  access: Access,
  { path, parents, mode }: ParamsOf<typeof fileMkdir>,
): Promise<ResultOf<typeof fileMkdir>> {
  const place = access.follow(path);
  if (parents) {
    const { folder, created } = await Folder.make(access, place, mode);
    await folder[Symbol.asyncDispose]();
    return { path: place, created };
  }
  await using folder = await Folder.open(access, dirname(place));
  if ((await lstat(folder.at(basename(place))).catch(() => undefined)) !== undefined) {
    throw new HlError("file_exists", `${JSON.stringify(path)} exists already`, { path });
  }
  await folder.makeFolder(basename(place), mode);
  return { path: place, created: true };
}

/** file/move. */
export async function move(
  access: Access,
  { from, to, overwrite }: ParamsOf<typeof fileMove>,
): Promise<ResultOf<typeof fileMove>> {
  const source = access.name(from);
  const target = access.name(to);
  access.refuseAround(source, from);
  access.refuseAround(target, to);
  await using sourceFolder = await Folder.open(access, dirname(source));
  await using targetFolder = await onPath(to, () => Folder.open(access, dirname(target)));
  const old = sourceFolder.at(basename(source));
  const next = targetFolder.at(basename(target));
  const found = await lstat(old);
  try {
    if (overwrite) {
      await rename(old, next);
    } else if (found.isDirectory()) {
      // There is no rename that refuses: what the look misses can only be an empty folder, which a rename may replace.
      await refuseExisting(next, to);
      await rename(old, next);
    } else {
      await moveToFreeName(old, next, to);
    }
  } catch (error) {
    throw (await isAboutTarget(error, targetFolder)) ? fileError(error, to) : error;
  }
  await sourceFolder.sync();
  await targetFolder.sync();
  return { from: source, to: target };
}

/** Of two names the kernel does not say which it means; the old one was found just before. */
async function isAboutTarget(error: unknown, folder: Folder): Promise<boolean> {
  if (isCode(error, "EACCES", "EPERM", "EROFS")) return !(await folder.isWritable());
  return isCode(error, "EEXIST", "ENOTEMPTY", "EISDIR", "ENOTDIR", "ENAMETOOLONG", "ENOSPC", "EDQUOT");
}

/** A link takes a name only where there is none. Where a file system has no hard links, a look has to do. */
async function moveToFreeName(old: string, next: string, asked: string): Promise<void> {
  try {
    await link(old, next);
  } catch (error) {
    if (!isCode(error, "EPERM", "EOPNOTSUPP", "EMLINK")) throw isCode(error, "EEXIST") ? exists(asked) : error;
    await refuseExisting(next, asked);
    await rename(old, next);
    return;
  }
  await unlink(old);
}

async function refuseExisting(way: string, asked: string): Promise<void> {
  if ((await lstat(way).catch(() => undefined)) !== undefined) throw exists(asked);
}

function exists(path: string): HlError {
  return new HlError("file_exists", `${JSON.stringify(path)} exists already; ask with overwrite to replace it`, {
    path,
  });
}

/** file/remove. Link by link through opened folders: one that is put in the way is removed, never followed. */
export async function remove(
  access: Access,
  { path, recursive }: ParamsOf<typeof fileRemove>,
  signal: AbortSignal,
): Promise<ResultOf<typeof fileRemove>> {
  const place = access.name(path);
  access.refuseAround(place, path);
  await using folder = await Folder.open(access, dirname(place));
  const name = basename(place);
  if (!(await lstat(folder.at(name))).isDirectory()) {
    await unlink(folder.at(name));
    return { path: place, removed: 1 };
  }
  const inside = recursive ? await removeInside(folder, name, signal, 1) : 0;
  await rmdir(folder.at(name));
  return { path: place, removed: inside + 1 };
}

async function removeInside(
  parent: Folder,
  name: string | Buffer,
  signal: AbortSignal,
  depth: number,
): Promise<number> {
  if (depth > depthMax) throw new HlError("invalid_params", `the folder is more than ${depthMax} levels deep`);
  await using folder = await parent.enter(name);
  let removed = 0;
  for (;;) {
    const { files, folders } = await removeFiles(folder, signal);
    removed += files;
    if (folders.length === 0) return removed;
    for (const inner of folders) {
      removed += await removeInside(folder, inner, signal, depth + 1);
      await rmdir(folder.atBytes(inner));
      removed += 1;
    }
  }
}

/** Removes what is no folder until so many folders are found that those have to go first. */
async function removeFiles(folder: Folder, signal: AbortSignal): Promise<{ files: number; folders: Buffer[] }> {
  let files = 0;
  const folders: Buffer[] = [];
  for await (const entry of await folder.entries()) {
    signal.throwIfAborted();
    if (entry.isDirectory()) {
      if (folders.push(entry.name) === foldersHeldMax) break;
    } else {
      await unlink(folder.atBytes(entry.name));
      files += 1;
    }
  }
  return { files, folders };
}
