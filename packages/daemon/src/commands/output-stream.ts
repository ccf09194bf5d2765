import { followRun } from "../runner/follow.ts";
import type { LogChunk } from "../runner/log-cursor.ts";
import type { Run } from "../runner/run.ts";
import { encodeBytes } from "./reply-output.ts";

/** Where a followed command's output goes; `notify` waits for a slow reader, which then delays nobody else (P5). */
export interface OutputSink {
  readonly commandId: string;
  notify(method: string, params: unknown): Promise<void>;
}

/** Small writes of a chatty program are joined up to this size, so that a line a write does not cost a message a line. */
const joinedBytesMax = 64 * 1024;

/** Delivers the log from `from` on, as it grows, and returns when the command has ended and everything was delivered. */
export async function followOutput(run: Run, from: number, sink: OutputSink, signal: AbortSignal): Promise<void> {
  for await (const { chunks, gapBytes, expectedAt } of followRun(run, from, signal)) {
    if (gapBytes > 0)
      await sink.notify("command/gap", { command_id: sink.commandId, position: expectedAt, bytes: gapBytes });
    for (const chunk of joinChunks(chunks)) {
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

function joinChunks(chunks: readonly LogChunk[]): LogChunk[] {
  const joined: LogChunk[] = [];
  let parts: LogChunk[] = [];
  let bytes = 0;
  const flush = (): void => {
    const [first] = parts;
    if (first === undefined) return;
    joined.push(parts.length === 1 ? first : { ...first, data: Buffer.concat(parts.map((part) => part.data)) });
    parts = [];
    bytes = 0;
  };
  for (const chunk of chunks) {
    if (parts[0]?.stream !== chunk.stream || bytes + chunk.data.length > joinedBytesMax) flush();
    parts.push(chunk);
    bytes += chunk.data.length;
  }
  flush();
  return joined;
}
