import { constants, type Stats } from "node:fs";
import { lstat, readlink } from "node:fs/promises";
import { basename, dirname } from "node:path";
import type { ParamsOf, ResultOf } from "@hl/protocol/method.ts";
import type { fileStat } from "@hl/protocol/methods/file-stat.ts";
import type { Access } from "./access.ts";
import { sha256OfFile } from "./content.ts";
import { Folder } from "./folder.ts";

type Description = Pick<ResultOf<typeof fileStat>, "type" | "size" | "mode" | "mtime">;

/** What file/stat and file/list say of a file. */
export function describe(stats: Stats): Description {
  const type = stats.isFile()
    ? "file"
    : stats.isDirectory()
      ? "directory"
      : stats.isSymbolicLink()
        ? "symlink"
        : "other";
  return { type, size: stats.size, mode: stats.mode & 0o7777, mtime: stats.mtimeMs / 1000 };
}

/** file/stat. */
export async function statFile(
  access: Access,
  { path, checksum }: ParamsOf<typeof fileStat>,
  signal: AbortSignal,
): Promise<ResultOf<typeof fileStat>> {
  const place = checksum ? access.follow(path) : access.name(path);
  if (checksum) {
    await using folder = await Folder.open(access, dirname(place));
    await using file = await folder.openFile(basename(place), constants.O_RDONLY);
    const sha256 = await sha256OfFile(file, signal);
    return { path: place, ...describe(await file.stat()), sha256 };
  }
  // What is allowed is often the topmost folder that is: nothing above it may be opened, and nothing has to be.
  const isTop = !access.allows(dirname(place));
  await using folder = await Folder.open(access, isTop ? place : dirname(place));
  const way = isTop ? `${folder.self}/.` : folder.at(basename(place));
  const stats = await lstat(way);
  const target = stats.isSymbolicLink() ? { target: await readlink(way) } : {};
  return { path: place, ...describe(stats), ...target };
}
