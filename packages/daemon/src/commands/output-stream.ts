import { followRun } from "../runner/follow.ts";
import type { LogChunk } from "../runner/log-cursor.ts";
import type { OutputSource } from "../runner/output-source.ts";
import { encodeBytes } from "./reply-output.ts";

/** Where a followed command's output goes; `notify` waits for a slow reader, which then delays nobody else (P5). */
export interface OutputSink {
  readonly commandId: string;
  notify(method: string, params: unknown): Promise<void>;
}

/**
 * One message carries about so much. Small writes of a chatty program are joined up to it, so that a line a write does not
 * cost a message a line; larger ones are cut, because V8 collects strings beyond 128 KiB only now and then and the
 * daemon's memory would swing with the output (P7).
 */
const messageBytesMax = 64 * 1024;

/** Delivers the log from `from` on, as it grows, and returns when the command has ended and everything was delivered. */
export async function followOutput(
  run: OutputSource,
  from: number,
  sink: OutputSink,
  signal: AbortSignal,
): Promise<void> {
  for await (const { chunks, gapBytes, expectedAt } of followRun(run, from, signal)) {
    if (gapBytes > 0)
      await sink.notify("command/gap", { command_id: sink.commandId, position: expectedAt, bytes: gapBytes });
    for (const chunk of evenChunks(chunks)) {
      if (signal.aborted) return;
      const { text, encoding } = encodeBytes(chunk.data);
      const { stream, offset, position } = chunk;
      await sink.notify("command/output", {
        command_id: sink.commandId,
        stream,
        offset,
        position,
        data: text,
        encoding,
      });
    }
  }
}

/** The same bytes in messages of even size. */
function evenChunks(chunks: readonly LogChunk[]): LogChunk[] {
  const even: LogChunk[] = [];
  let parts: LogChunk[] = [];
  let bytes = 0;
  const flush = (): void => {
    const [first] = parts;
    if (first === undefined) return;
    even.push(parts.length === 1 ? first : { ...first, data: Buffer.concat(parts.map((part) => part.data)) });
    parts = [];
    bytes = 0;
  };
  for (const piece of chunks.flatMap(cut)) {
    if (parts[0]?.stream !== piece.stream || bytes + piece.data.length > messageBytesMax) flush();
    parts.push(piece);
    bytes += piece.data.length;
  }
  flush();
  return even;
}

function cut(chunk: LogChunk): LogChunk[] {
  const pieces: LogChunk[] = [];
  const { data } = chunk;
  for (let at = 0; at < data.length;) {
    const end = pieceEnd(data, at + messageBytesMax);
    pieces.push({ ...chunk, offset: chunk.offset + at, position: chunk.position + at, data: data.subarray(at, end) });
    at = end;
  }
  return pieces;
}

/** Not in the middle of a code point, where there is a choice: text then stays text instead of base64. */
function pieceEnd(data: Buffer, wanted: number): number {
  if (wanted >= data.length) return data.length;
  let end = wanted;
  while (wanted - end < 3 && ((data[end] as number) & 0xc0) === 0x80) end -= 1;
  return end;
}
