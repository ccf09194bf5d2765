import { closeSync, openSync, readSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";

/** One open file of a log (docs/runner-protocol.md "Files"). */
export interface Segment {
  readonly index: number;
  /** A file descriptor, which whoever opened it closes. */
  readonly file: number;
  readonly start: Readonly<Record<LogAxis, number>>;
}

export type LogAxis = "position" | "stdout" | "stderr";

export const segmentHeaderBytes = 32;

/** Undefined where there is none (yet). */
export function openSegment(directory: string, index: number): Segment | undefined {
  let file: number;
  try {
    file = openSync(join(directory, `log.${String(index).padStart(6, "0")}`), "r");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
  const header = Buffer.alloc(segmentHeaderBytes);
  if (readSync(file, header, 0, segmentHeaderBytes, 0) < segmentHeaderBytes) {
    closeSync(file);
    return undefined; // Just created: nothing of it has been announced yet.
  }
  const at = (offset: number): number => Number(header.readBigUInt64LE(offset));
  return { index, file, start: { position: at(8), stdout: at(16), stderr: at(24) } };
}

/** In order. */
export async function segmentIndexes(directory: string): Promise<number[]> {
  const names = await readdir(directory).catch(() => []);
  return names
    .filter((name) => /^log\.\d{6,}$/.test(name))
    .map((name) => Number(name.slice(4)))
    .sort((a, b) => a - b);
}
