import { constants } from "node:fs";
import { basename, dirname } from "node:path";
import { HlError } from "@hl/protocol/errors.ts";
import type { ParamsOf, ResultOf } from "@hl/protocol/method.ts";
import { readBytesMax, type fileRead } from "@hl/protocol/methods/file-read.ts";
import type { Access } from "./access.ts";
import { contentOf, readFully, sha256Of } from "./content.ts";
import { Folder } from "./folder.ts";

/** file/read. A file that says nothing of its size (in /proc) is read like any other, up to what one answer may have. */
export async function readFile(
  access: Access,
  { path, offset, length, encoding }: ParamsOf<typeof fileRead>,
): Promise<ResultOf<typeof fileRead>> {
  const place = access.follow(path);
  await using folder = await Folder.open(access, dirname(place));
  await using file = await folder.openFile(basename(place), constants.O_RDONLY);
  const { size, mtimeMs } = await file.stat();
  const whole = offset === undefined && length === undefined;
  if (whole && size > readBytesMax) {
    const text = `${JSON.stringify(path)} has ${size} bytes; one answer may have ${readBytesMax}`;
    throw new HlError("file_too_large", text, { path, size, length_max: readBytesMax });
  }
  const from = offset ?? 0;
  const buffer = Buffer.allocUnsafe(Math.min(length ?? readBytesMax, Math.max(0, size - from) || readBytesMax));
  const bytes = buffer.subarray(0, await readFully(file, buffer, from));
  // What says nothing of its size has been read whole where the buffer was not filled.
  const isAll = from === 0 && (size > 0 ? bytes.length === size : bytes.length < buffer.length);
  return {
    path: place,
    ...contentOf(bytes, encoding),
    size,
    ...(isAll ? { sha256: sha256Of(bytes) } : {}),
    mtime: mtimeMs / 1000,
  };
}
