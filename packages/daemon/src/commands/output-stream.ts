import { isUtf8 } from "node:buffer";
import type { BytesMember } from "@hl/core/rpc/encoded-message.ts";
import { followRun } from "../runner/follow.ts";
import type { LogChunk } from "../runner/log-cursor.ts";
import type { OutputSource } from "../runner/output-source.ts";
import { takeReadBuffer } from "../runner/read-buffers.ts";

/** Where a followed command's output goes; both wait for a slow reader, which then delays nobody else (P5). */
export interface OutputSink {
  readonly commandId: string;
  /** How `command/output` carries bytes: `auto` is text where they are valid UTF-8. */
  readonly encoding: "auto" | "base64";
  notify(method: string, params: unknown): Promise<void>;
  notifyBytes(method: string, params: object, member: BytesMember): Promise<void>;
}

/** Delivers the log from `from` on, as it grows, and returns when the command has ended and everything was delivered. */
export async function followOutput(
  run: OutputSource,
  from: number,
  sink: OutputSink,
  signal: AbortSignal,
): Promise<void> {
  const { commandId } = sink;
  for await (const read of followRun(run, from, signal)) {
    const { chunks, gapBytes, expectedAt } = read;
    const sent: Promise<void>[] = [];
    const joint = takeReadBuffer();
    if (gapBytes > 0) {
      sent.push(sink.notify("command/gap", { command_id: commandId, position: expectedAt, bytes: gapBytes }));
    }
    for (const { stream, offset, position, data: bytes } of joined(chunks, joint.bytes)) {
      const encoding = sink.encoding === "auto" && isUtf8(bytes) ? "utf8" : "base64";
      const params = { command_id: commandId, stream, offset, position, encoding };
      sent.push(sink.notifyBytes("command/output", params, { name: "data", bytes, encoding }));
    }
    read.release(); // Everything is encoded: a reader that is slow holds no buffer that others need (P7).
    joint.release();
    await Promise.all(sent);
  }
}

/** What a chatty program wrote in small pieces becomes one message: a line a write would cost a message a line. */
function joined(chunks: readonly LogChunk[], buffer: Buffer): LogChunk[] {
  const messages: LogChunk[] = [];
  let used = 0;
  for (let at = 0; at < chunks.length;) {
    const first = chunks[at] as LogChunk;
    let end = at + 1;
    while (chunks[end]?.stream === first.stream) end += 1;
    const start = used;
    if (end > at + 1) for (const { data } of chunks.slice(at, end)) used += data.copy(buffer, used);
    messages.push(end === at + 1 ? first : { ...first, data: buffer.subarray(start, used) });
    at = end;
  }
  return messages;
}
