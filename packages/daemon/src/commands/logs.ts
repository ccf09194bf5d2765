import { HlError } from "@hl/protocol/errors.ts";
import type { ResultOf } from "@hl/protocol/method.ts";
import type { commandLogs } from "@hl/protocol/methods/command-logs.ts";
import type { LogAxis } from "../runner/log-cursor.ts";
import type { Command } from "./command.ts";
import { encodeBytes } from "./reply-output.ts";

/** One page of the recorded output. */
export async function readLogs(
  command: Command,
  axis: LogAxis,
  offset: number,
  limitBytes: number,
): Promise<ResultOf<typeof commandLogs>> {
  const { run, ending } = command;
  const total = totalOn(command, axis);
  if (run === undefined)
    return { chunks: [], next_offset: offset, eof: true, skipped_bytes: Math.max(0, total - offset) };
  if (offset > total) {
    throw new HlError("invalid_params", `offset: ${offset} is behind the end of the output (${total})`, {
      offset,
      total,
    });
  }
  await using cursor = run.cursor(offset, axis);
  const published = run.output.position;
  const chunks: ResultOf<typeof commandLogs>["chunks"] = [];
  let bytes = 0;
  let skipped = 0;
  while (bytes < limitBytes) {
    const read = await cursor.read(published, limitBytes - bytes);
    skipped += read.gapBytes;
    if (read.chunks.length === 0) break;
    for (const chunk of read.chunks) {
      const data = chunk.data.subarray(0, limitBytes - bytes);
      if (data.length === 0) break;
      bytes += data.length;
      const { text, encoding } = encodeBytes(data);
      chunks.push({ stream: chunk.stream, offset: chunk.offset, data: text, encoding });
    }
  }
  const next = offset + skipped + bytes;
  return { chunks, next_offset: next, eof: ending !== undefined && next >= total, skipped_bytes: skipped };
}

function totalOn(command: Command, axis: LogAxis): number {
  const { run, ending } = command;
  if (axis === "position") return run?.output.position ?? ending?.position ?? 0;
  if (axis === "stdout") return run?.output.stdoutBytes ?? ending?.stdoutBytes ?? 0;
  return run?.output.stderrBytes ?? ending?.stderrBytes ?? 0;
}
