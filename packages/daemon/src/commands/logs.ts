import { HlError } from "@hl/protocol/errors.ts";
import type { ResultOf } from "@hl/protocol/method.ts";
import type { commandLogs } from "@hl/protocol/methods/command-logs.ts";
import type { LogAxis } from "../runner/log-cursor.ts";
import type { OutputMark } from "../runner/records.ts";
import type { Command } from "./command.ts";
import { encodeBytes } from "./reply-output.ts";

/** One page of the recorded output. */
export async function readLogs(
  command: Command,
  axis: LogAxis,
  offset: number,
  limitBytes: number,
): Promise<ResultOf<typeof commandLogs>> {
  const { output: source, ending } = command;
  const isOver = ending !== undefined; // Before the log is read: what is missing then stays missing.
  const total = totalOn(source?.output ?? ending, axis);
  if (source === undefined) {
    // Nothing is known of it yet, or nothing is left of it.
    const skipped = isOver ? Math.max(0, total - offset) : 0;
    return { chunks: [], next_offset: offset + skipped, eof: isOver, skipped_bytes: skipped };
  }
  checkOffset(offset, total);
  await using cursor = source.cursor(offset, axis);
  const published = source.output.position;
  const chunks: ResultOf<typeof commandLogs>["chunks"] = [];
  let bytes = 0;
  let skipped = 0;
  let exhausted = false;
  while (bytes < limitBytes && !exhausted) {
    const read = await cursor.read(published, limitBytes - bytes);
    skipped += read.gapBytes;
    exhausted = read.chunks.length === 0;
    for (const chunk of read.chunks) {
      const data = chunk.data.subarray(0, limitBytes - bytes);
      if (data.length === 0) break;
      bytes += data.length;
      const { text, encoding } = encodeBytes(data);
      chunks.push({ stream: chunk.stream, offset: chunk.offset, data: text, encoding });
    }
    read.release();
  }
  // No record follows that could tell of what was lost at the very end.
  if (exhausted && isOver) skipped = Math.max(skipped, total - offset - bytes);
  const next = offset + skipped + bytes;
  return { chunks, next_offset: next, eof: isOver && next >= total, skipped_bytes: skipped };
}

/** Throws where nothing has been written: an offset of another command, most likely. */
export function checkOffset(offset: number, total: number): void {
  if (offset <= total) return;
  const text = `offset: ${offset} is behind the end of the output (${total})`;
  throw new HlError("invalid_params", text, { offset, total });
}

function totalOn(mark: OutputMark | undefined, axis: LogAxis): number {
  if (axis === "position") return mark?.position ?? 0;
  return (axis === "stdout" ? mark?.stdoutBytes : mark?.stderrBytes) ?? 0;
}
