import { isUtf8 } from "node:buffer";
import type { LogCursor } from "../runner/log-cursor.ts";

/** One stream of a finished command as a reply carries it: head and tail within the limit, exact bytes (P6). */
export interface ReplyOutput {
  readonly text: string;
  readonly encoding: "utf8" | "base64";
  readonly truncated: boolean;
}

interface OutputSource {
  cursor(from: number, axis: "stdout" | "stderr"): LogCursor;
  readonly output: { readonly position: number };
}

export async function replyOutput(
  source: OutputSource,
  stream: "stdout" | "stderr",
  streamBytes: number,
  bytesMax: number,
): Promise<ReplyOutput> {
  if (streamBytes === 0) return { text: "", encoding: "utf8", truncated: false };
  if (streamBytes <= bytesMax) {
    const whole = await readRange(source, stream, 0, streamBytes);
    return { ...encodeBytes(whole), truncated: whole.length < streamBytes };
  }
  const headBytes = Math.floor(bytesMax / 2);
  const head = await readRange(source, stream, 0, headBytes);
  const tail = await readRange(source, stream, streamBytes - (bytesMax - headBytes), bytesMax - headBytes);
  const text = isUtf8(trimEnd(head)) && isUtf8(trimStart(tail));
  const kept = text ? [trimEnd(head), trimStart(tail)] : [head, tail];
  return { ...encodeBytes(Buffer.concat(kept)), truncated: true };
}

/** Bytes as a JSON string: text where they are valid UTF-8, else base64. */
export function encodeBytes(bytes: Buffer): { text: string; encoding: "utf8" | "base64" } {
  return isUtf8(bytes)
    ? { text: bytes.toString("utf8"), encoding: "utf8" }
    : { text: bytes.toString("base64"), encoding: "base64" };
}

async function readRange(
  source: OutputSource,
  stream: "stdout" | "stderr",
  from: number,
  bytes: number,
): Promise<Buffer> {
  await using cursor = source.cursor(from, stream);
  const range = Buffer.allocUnsafe(bytes);
  let filled = 0;
  while (filled < bytes) {
    const read = await cursor.read(source.output.position, bytes - filled);
    if (read.chunks.length === 0) break;
    for (const { data } of read.chunks) filled += data.copy(range, filled, 0, bytes - filled);
    read.release();
  }
  return range.subarray(0, filled);
}

/** Cuts a code point that the boundary has split. */
function trimEnd(bytes: Buffer): Buffer {
  for (let cut = 0; cut < 4 && cut < bytes.length; cut += 1) {
    const piece = bytes.subarray(0, bytes.length - cut);
    if (isUtf8(piece)) return piece;
  }
  return bytes;
}

function trimStart(bytes: Buffer): Buffer {
  let start = 0;
  while (start < 3 && start < bytes.length && ((bytes[start] as number) & 0xc0) === 0x80) start += 1;
  return bytes.subarray(start);
}
