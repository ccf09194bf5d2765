import { open, readdir } from "node:fs/promises";
import { join } from "node:path";
import type { OutputMark } from "./records.ts";

const segmentHeaderBytes = 32;
const recordHeaderBytes = 16;
const windowBytes = 256 * 1024;

/**
 * How far a log reaches that nobody announces any more: read from its last segment, a record that is cut off left out. What was
 * lost behind the last record is unknown, so it is not counted (P2).
 */
export async function logExtent(directory: string): Promise<OutputMark> {
  const names = (await readdir(directory).catch(() => [])).filter((name) => /^log\.\d{6,}$/.test(name));
  const newestFirst = names.sort((a, b) => Number(b.slice(4)) - Number(a.slice(4)));
  for (const name of newestFirst) {
    const extent = await segmentExtent(join(directory, name)).catch(() => undefined);
    if (extent !== undefined) return extent;
  }
  return { position: 0, stdoutBytes: 0, stderrBytes: 0 };
}

/** Undefined when not even its header is whole. */
async function segmentExtent(path: string): Promise<OutputMark | undefined> {
  await using file = await open(path, "r");
  const { size } = await file.stat();
  const header = Buffer.alloc(segmentHeaderBytes);
  if ((await file.read(header, 0, segmentHeaderBytes, 0)).bytesRead < segmentHeaderBytes) return undefined;
  const reach = { stdout: Number(header.readBigUInt64LE(16)), stderr: Number(header.readBigUInt64LE(24)) };
  const window = Buffer.allocUnsafe(windowBytes);
  let at = segmentHeaderBytes;
  while (at + recordHeaderBytes <= size) {
    const { bytesRead } = await file.read(window, 0, windowBytes, at);
    let used = 0;
    // The next header may lie behind the window: then the file is read again from there.
    while (used + recordHeaderBytes <= bytesRead) {
      const length = window.readUInt32LE(used + 4);
      if (at + used + recordHeaderBytes + length > size) return markOf(reach);
      reach[window[used] === 2 ? "stderr" : "stdout"] = Number(window.readBigUInt64LE(used + 8)) + length;
      used += recordHeaderBytes + length;
    }
    if (used === 0) break;
    at += used;
  }
  return markOf(reach);
}

function markOf({ stdout, stderr }: { readonly stdout: number; readonly stderr: number }): OutputMark {
  return { position: stdout + stderr, stdoutBytes: stdout, stderrBytes: stderr };
}
