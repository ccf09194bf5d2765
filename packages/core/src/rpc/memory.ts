import { textOf, type EncodedMessage } from "./encoded-message.ts";
import type { Transport, TransportReceiver } from "./transport.ts";

/** Two joined transports in one process, for tests and for a program that is its own peer. Delivery is asynchronous and in order. */
export function memoryTransports(): [Transport, Transport] {
  const left = new MemoryTransport();
  const right = new MemoryTransport();
  left.other = right;
  right.other = left;
  return [left, right];
}

class MemoryTransport implements Transport {
  other: MemoryTransport | undefined;
  #receiver: TransportReceiver | undefined;
  #early: string[] = [];
  #closed = false;
  #paused = false;

  open(receiver: TransportReceiver): void {
    this.#receiver = receiver;
    this.#deliverEarly();
  }

  async send(message: string | EncodedMessage): Promise<void> {
    if (this.#closed) throw new Error("the connection is closed");
    const text = typeof message === "string" ? message : textOf(message);
    queueMicrotask(() => this.other?.deliver(text));
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    this.#deliverEarly();
  }

  close(reason: string): void {
    if (this.#closed) return;
    this.#closed = true;
    queueMicrotask(() => {
      this.#receiver?.closed(reason);
      this.other?.close(reason);
    });
  }

  deliver(text: string): void {
    if (this.#closed) return;
    this.#early.push(text);
    this.#deliverEarly();
  }

  #deliverEarly(): void {
    while (this.#receiver !== undefined && !this.#paused) {
      const text = this.#early.shift();
      if (text === undefined) return;
      this.#receiver.message(text);
    }
  }
}
