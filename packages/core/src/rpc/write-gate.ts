import type { Socket } from "node:net";
import type { Clock } from "../clock.ts";

/**
 * Back-pressure of one connection: senders wait while the gate is shut. A reader that took nothing at all for the
 * whole deadline is given up (P5); one that is slow is not, however large the message.
 * States: open → shut → open …, closed at the end.
 */
export interface WriteGateOptions {
  readonly clock: Clock;
  readonly deadlineMs: number;
  /** Any number that changes when the reader takes something. */
  readonly progress: () => number;
  readonly expired: () => void;
}

export class WriteGate {
  readonly #options: WriteGateOptions;
  #shut: PromiseWithResolvers<void> | undefined;
  #cancelDeadline: (() => void) | undefined;

  constructor(options: WriteGateOptions) {
    this.#options = options;
  }

  /** Resolves at once while bytes flow, else when they flow again. */
  wait(full: boolean): Promise<void> {
    if (!full && this.#shut === undefined) return Promise.resolve();
    if (this.#shut === undefined) {
      this.#shut = Promise.withResolvers();
      this.#shut.promise.catch(() => {}); // Senders that do not wait do not want to hear of it either.
      this.#watch();
    }
    return this.#shut.promise;
  }

  opened(): void {
    this.#cancelDeadline?.();
    this.#shut?.resolve();
    this.#shut = undefined;
  }

  closed(reason: string): void {
    this.#cancelDeadline?.();
    this.#shut?.reject(new Error(reason));
    this.#shut = undefined;
  }

  #watch(): void {
    const { clock, deadlineMs, progress, expired } = this.#options;
    const before = progress();
    this.#cancelDeadline = clock.after(deadlineMs, () => {
      if (progress() === before) expired();
      else this.#watch();
    });
  }
}

/**
 * Changes when the kernel takes bytes of the socket. The public counters move only when a whole chunk is gone, and a chunk may
 * be a message of 10 MB; the queue of the handle is what Node's own socket timeout looks at for the same purpose.
 */
export function writeProgress(socket: Socket | null | undefined): number {
  if (socket === null || socket === undefined) return 0;
  const { _handle: handle } = socket as unknown as { readonly _handle?: { readonly writeQueueSize?: number } | null };
  return socket.bytesWritten - socket.writableLength - (handle?.writeQueueSize ?? 0);
}
