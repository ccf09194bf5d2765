import type { Socket } from "node:net";
import type { Clock } from "../clock.ts";
import { LineSplitter } from "./line-splitter.ts";
import type { Transport, TransportLimits, TransportReceiver } from "./transport.ts";
import { WriteGate } from "./write-gate.ts";

/** One JSON message a line over a stream socket: the daemon's unix socket. */
export class NdjsonTransport implements Transport {
  readonly #socket: Socket;
  readonly #clock: Clock;
  readonly #limits: TransportLimits;
  readonly #gate: WriteGate;
  #cancelPartialTimer: (() => void) | undefined;
  #closeReason: string | undefined;
  /** Reading has two possible brakes: our own unsent bytes, and an owner that cannot take more. */
  #paused = false;
  #partial = false;

  constructor(socket: Socket, clock: Clock, limits: TransportLimits) {
    this.#socket = socket;
    this.#clock = clock;
    this.#limits = limits;
    this.#gate = new WriteGate(clock, limits.writeDeadlineMs, () =>
      this.#abort("the reader took nothing for too long"),
    );
  }

  open(receiver: TransportReceiver): void {
    const decoder = new TextDecoder("utf-8", { fatal: true });
    const splitter = new LineSplitter({
      lineBytesMax: this.#limits.messageBytesMax,
      onLine: (bytes) => {
        if (bytes.length === 0) return;
        let text: string;
        try {
          text = decoder.decode(bytes);
        } catch {
          receiver.problem({ kind: "not_text", message: "the line is not valid UTF-8" });
          return;
        }
        receiver.message(text);
      },
      onOverflow: () => {
        const message = `a message may have ${this.#limits.messageBytesMax} bytes`;
        receiver.problem({ kind: "too_large", message });
      },
    });
    this.#socket.on("data", (chunk: Buffer) => {
      splitter.push(chunk);
      this.#partial = splitter.partial;
      this.#watchPartial();
    });
    this.#socket.on("drain", () => {
      this.#gate.opened();
      if (!this.#paused) this.#socket.resume();
    });
    this.#socket.on("end", () => {
      splitter.end();
      this.#socket.end();
    });
    this.#socket.on("error", (error) => (this.#closeReason ??= error.message));
    this.#socket.on("close", () => {
      this.#cancelPartialTimer?.();
      const reason = this.#closeReason ?? "the other side closed the connection";
      this.#gate.closed(reason);
      receiver.closed(reason);
    });
  }

  send(text: string): Promise<void> {
    if (this.#socket.destroyed) return Promise.reject(new Error(this.#closeReason ?? "the connection is closed"));
    this.#socket.write(`${text}\n`);
    const full = this.#socket.writableLength > this.#limits.highWaterBytes;
    if (full && this.#limits.pauseReadsWhenFull) this.#socket.pause();
    return this.#gate.wait(full);
  }

  pause(): void {
    this.#paused = true;
    this.#socket.pause();
    this.#watchPartial();
  }

  resume(): void {
    this.#paused = false;
    this.#socket.resume();
    this.#watchPartial();
  }

  close(reason: string): void {
    this.#closeReason ??= reason;
    // What is queued still goes out, but a reader that does not take it may not hold the connection open.
    const cancel = this.#clock.after(this.#limits.writeDeadlineMs, () => this.#socket.destroy());
    this.#socket.once("close", cancel);
    this.#socket.end(() => this.#socket.destroy());
  }

  #abort(reason: string): void {
    this.#closeReason ??= reason;
    this.#socket.destroy();
  }

  /** Half a line and then silence must not hold a connection for ever; a silence of our own making does not count. */
  #watchPartial(): void {
    if (!this.#partial || this.#paused) {
      this.#cancelPartialTimer?.();
      this.#cancelPartialTimer = undefined;
      return;
    }
    this.#cancelPartialTimer ??= this.#clock.after(this.#limits.partialMessageMs, () =>
      this.#abort("a message was begun and not finished in time"),
    );
  }
}
