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
  await using cursor = run.cursor(from);
  const growth = new Growth(run, signal);
  try {
    for (;;) {
      const end = run.end;
      const before = cursor.offset;
      const { chunks, gapBytes } = await cursor.read(run.output.position);
      if (gapBytes > 0)
        await sink.notify("command/gap", { command_id: sink.commandId, position: before, bytes: gapBytes });
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
      if (signal.aborted) return;
      if (chunks.length > 0) continue;
      if (end !== undefined) return;
      await growth.next();
    }
  } finally {
    growth.stop();
  }
}

/** Remembers growth between two waits, so that none is missed while the reader is busy. */
class Growth {
  readonly #stop: () => void;
  #grown = false;
  #wake: (() => void) | undefined;

  constructor(run: Run, signal: AbortSignal) {
    const wake = (): void => {
      this.#grown = true;
      this.#wake?.();
    };
    const stopListening = run.onOutput(wake);
    signal.addEventListener("abort", wake, { once: true });
    this.#stop = () => {
      stopListening();
      signal.removeEventListener("abort", wake);
    };
  }

  async next(): Promise<void> {
    if (!this.#grown) await new Promise<void>((resolve) => (this.#wake = resolve));
    this.#grown = false;
    this.#wake = undefined;
  }

  stop(): void {
    this.#stop();
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
