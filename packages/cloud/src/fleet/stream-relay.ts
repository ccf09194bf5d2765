import { streamClosedMethod, type StreamCutReason } from "@hl/protocol/stream-closed.ts";

/**
 * The notifications of one request between a VM and an operator. The VM's connection carries many streams, so one slow
 * operator may not stop it (P5): what it has not taken waits here, bounded.
 * States: flowing → suspended at the bound (the VM is told to stop, what it still sends is dropped) → flowing again from
 * the last position once the operator has taken what waited → ended. A stream that cannot be taken up again is cut with
 * an explicit last notification, so that nothing is missing silently (S2).
 */
export interface StreamRelayOptions {
  readonly queueBytesMax: number;
  /** Sends to the operator; resolves when there is room for more. */
  readonly notify: (method: string, params: unknown) => Promise<void>;
  /** Whether this notification is the last one. */
  readonly isLast: (method: string, params: unknown) => boolean;
  /** Sees every notification that will be delivered. */
  readonly note?: ((method: string, params: unknown) => void) | undefined;
  /** Stops the stream at the VM and answers how to take it up again; undefined when that cannot be. */
  readonly suspend: () => (() => Promise<unknown>) | undefined;
  /** Nothing more is wanted from the VM. */
  readonly onEnd: () => void;
}

interface Item {
  readonly method: string;
  readonly params: unknown;
  readonly bytes: number;
}

export class StreamRelay {
  readonly #options: StreamRelayOptions;
  #queue: Item[] = [];
  #queuedBytes = 0;
  #resume: (() => Promise<unknown>) | undefined;
  #ended = false;
  #wake: (() => void) | undefined;

  constructor(options: StreamRelayOptions) {
    this.#options = options;
  }

  /** Whether the VM has been told to stop for now. */
  get suspended(): boolean {
    return this.#resume !== undefined;
  }

  /** From the VM; never waits. */
  push(method: string, params: unknown): void {
    if (this.#ended || this.suspended) return;
    const { queueBytesMax, isLast, note, suspend } = this.#options;
    const bytes = weigh(params);
    if (this.#queue.length > 0 && this.#queuedBytes + bytes > queueBytesMax) {
      const resume = suspend();
      if (resume !== undefined) this.#resume = resume;
      else this.end("reader_too_slow", `more than ${queueBytesMax} bytes are waiting for this reader`);
      return;
    }
    note?.(method, params);
    this.#add({ method, params, bytes });
    if (isLast(method, params)) this.end();
  }

  /** Nothing follows; with a reason the reader is told that the stream was cut short. */
  end(reason?: StreamCutReason, message?: string): void {
    if (this.#ended) return;
    if (reason !== undefined) this.#add({ method: streamClosedMethod, params: { reason, message }, bytes: 0 });
    this.#ended = true;
    this.#wake?.();
    this.#options.onEnd();
  }

  /** Delivers until the end, or until the operator leaves. */
  async pump(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const batch = this.#queue;
      if (batch.length > 0) {
        this.#queue = [];
        await this.#deliver(batch, signal);
      } else if (this.#ended) {
        return;
      } else if (this.#resume !== undefined) {
        await this.#takeUp(this.#resume);
      } else {
        await this.#more(signal);
      }
    }
  }

  async #deliver(batch: readonly Item[], signal: AbortSignal): Promise<void> {
    for (const { method, params, bytes } of batch) {
      if (signal.aborted) return;
      await this.#options.notify(method, params);
      this.#queuedBytes -= bytes;
    }
  }

  async #takeUp(resume: () => Promise<unknown>): Promise<void> {
    this.#resume = undefined; // Before the request goes out: its notifications may come before its answer is seen here.
    try {
      await resume();
    } catch (error) {
      this.end("vm_disconnected", error instanceof Error ? error.message : String(error));
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

const perValueBytes = 16;

/** A cheap estimate of what a value holds in memory; writing it as JSON only to measure it would double the work. */
function weigh(value: unknown): number {
  if (typeof value === "string") return perValueBytes + value.length;
  if (typeof value !== "object" || value === null) return perValueBytes;
  let bytes = perValueBytes;
  for (const [key, item] of Object.entries(value)) bytes += key.length + weigh(item);
  return bytes;
}
