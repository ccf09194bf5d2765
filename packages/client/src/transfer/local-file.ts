import { createHash } from "node:crypto";
import { open, type FileHandle } from "node:fs/promises";
import { ClientFailure } from "../failure.ts";

/** A file on this machine; what cannot be done with it is told as the user's and not as a bug of ours. */
export async function openLocal(path: string, flags: string): Promise<FileHandle> {
  try {
    const file = await open(path, flags);
    if ((await file.stat()).isFile()) return file;
    await file.close();
  } catch (error) {
    throw localFailure(path, error);
  }
  throw new ClientFailure("local_file", `${path} is not a file`);
}

export function localFailure(path: string, error: unknown): ClientFailure {
  const why = error instanceof Error ? error.message : String(error);
  return new ClientFailure("local_file", `${path}: ${why}`, undefined, { cause: error });
}

const readBytes = 1_048_576;

/** Of all of it, in one buffer whatever its size (P7). */
export async function sha256OfLocal(file: FileHandle, signal: AbortSignal): Promise<string> {
  const hash = createHash("sha256");
  const buffer = Buffer.allocUnsafe(readBytes);
  for (let at = 0; ;) {
    signal.throwIfAborted();
    const { bytesRead } = await file.read(buffer, 0, readBytes, at);
    if (bytesRead === 0) return hash.digest("hex");
    hash.update(buffer.subarray(0, bytesRead));
    at += bytesRead;
  }
}

/** Fewer where the file ends before. */
export async function readLocal(file: FileHandle, from: number, bytes: number): Promise<Buffer> {
  const buffer = Buffer.allocUnsafe(bytes);
  let done = 0;
  while (done < bytes) {
    const { bytesRead } = await file.read(buffer, done, bytes - done, from + done);
    if (bytesRead === 0) break;
    done += bytesRead;
  }
  return buffer.subarray(0, done);
}
