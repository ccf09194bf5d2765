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

  open(receiver: TransportReceiver): void {
    this.#receiver = receiver;
    for (const text of this.#early.splice(0)) receiver.message(text);
  }

  async send(text: string): Promise<void> {
    if (this.#closed) throw new Error("the connection is closed");
    queueMicrotask(() => this.other?.deliver(text));
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
    if (this.#receiver === undefined) this.#early.push(text);
    else this.#receiver.message(text);
  }
}
