/**
 * The notifications of one request between a VM and an operator. The VM's connection carries many streams, so one slow
 * operator may not stop it (P5): what it has not taken waits here, bounded, and at the bound the stream is cut with
 * everything before the cut still delivered, so that its reader goes on from the position it has.
 */
export interface StreamRelayOptions {
  readonly queueBytesMax: number;
  /** Sends to the operator; resolves when there is room for more. */
  readonly notify: (method: string, params: unknown) => Promise<void>;
  /** Whether this notification is the last one. */
  readonly isLast: (method: string) => boolean;
  /** No more is wanted from the VM: the stream has ended or was cut. */
  readonly onEnd: () => void;
}

interface Item {
  readonly method: string;
  readonly params: unknown;
  readonly bytes: number;
}

export class StreamRelay {
  readonly #options: StreamRelayOptions;
  readonly #queue: Item[] = [];
  #queuedBytes = 0;
  #ended = false;
  #wake: (() => void) | undefined;

  constructor(options: StreamRelayOptions) {
    this.#options = options;
  }

  /** From the VM; never waits. */
  push(method: string, params: unknown): void {
    if (this.#ended) return;
    const bytes = weigh(params);
    const { queueBytesMax, isLast } = this.#options;
    if (this.#queue.length > 0 && this.#queuedBytes + bytes > queueBytesMax) {
      this.end("reader_too_slow", `more than ${queueBytesMax} bytes are waiting for this reader`);
      return;
    }
    this.#add({ method, params, bytes });
    if (isLast(method)) this.end();
  }

  /** Nothing follows; with a reason the reader is told that the stream was cut short. */
  end(reason?: StreamCutReason, message?: string): void {
    if (this.#ended) return;
    if (reason !== undefined) this.#add({ method: streamClosed, params: { reason, message }, bytes: 0 });
    this.#ended = true;
    this.#wake?.();
    this.#options.onEnd();
  }

  /** Delivers until the end, or until the operator leaves. */
  async pump(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const item = this.#queue.shift();
      if (item !== undefined) {
        this.#queuedBytes -= item.bytes;
        await this.#options.notify(item.method, item.params);
      } else if (this.#ended) {
        return;
      } else {
        await this.#more(signal);
      }
    }
  }

  #add(item: Item): void {
    this.#queue.push(item);
    this.#queuedBytes += item.bytes;
    this.#wake?.();
  }

  #more(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        signal.removeEventListener("abort", wake);
        this.#wake = undefined;
        resolve();
      };
      this.#wake = wake;
      signal.addEventListener("abort", wake, { once: true });
    });
  }
}

/** The explicit end of a stream that was cut short; its reader subscribes again from the last position it has. */
export const streamClosed = "stream/closed";

export type StreamCutReason = "reader_too_slow" | "vm_disconnected";

const perValueBytes = 16;

/** A cheap estimate of what a value holds in memory; writing it as JSON only to measure it would double the work. */
function weigh(value: unknown): number {
  if (typeof value === "string") return perValueBytes + value.length;
  if (typeof value !== "object" || value === null) return perValueBytes;
  let bytes = perValueBytes;
  for (const [key, item] of Object.entries(value)) bytes += key.length + weigh(item);
  return bytes;
}
