import type { Socket } from "node:net";
import type { Clock } from "../clock.ts";
import type { EncodedMessage } from "./encoded-message.ts";
import { LineSplitter } from "./line-splitter.ts";
import { MessageEncoder } from "./message-encoder.ts";
import type { Transport, TransportLimits, TransportReceiver } from "./transport.ts";
import { WriteGate, writeProgress } from "./write-gate.ts";

/** One for all: it keeps nothing from one whole message to the next, and making one is a fair part of what a connection costs. */
const decoder = new TextDecoder("utf-8", { fatal: true });
/** A longer message leaves at once and alone: whether its reader takes anything has to be seen from its first byte on. */
const gatheredCharactersMax = 32 * 1024;

/**
 * One JSON message a line over a stream socket: the daemon's unix socket.
 * States: open → closing (after `close`: what is queued goes out, nothing more is sent) → closed.
 */
export class NdjsonTransport implements Transport {
  readonly #socket: Socket;
  readonly #clock: Clock;
  readonly #limits: TransportLimits;
  readonly #gate: WriteGate;
  readonly #encoder = new MessageEncoder("\n");
  #cancelPartialTimer: (() => void) | undefined;
  #closeReason: string | undefined;
  #closing = false;
  /** Messages that go out when this turn of the event loop is over. */
  #gathered = "";
  /** Reading has two brakes: an owner that cannot take more, and our own unsent bytes. */
  #paused = false;
  #full = false;
  #partial = false;
  #messageBytesMax: number;

  constructor(socket: Socket, clock: Clock, limits: TransportLimits) {
    this.#socket = socket;
    this.#clock = clock;
    this.#limits = limits;
    this.#messageBytesMax = limits.messageBytesMax;
    this.#gate = new WriteGate({
      clock,
      deadlineMs: limits.writeDeadlineMs,
      progress: () => writeProgress(socket),
      expired: () => this.#abort("the reader took nothing for too long"),
    });
  }

  open(receiver: TransportReceiver): void {
    const splitter = this.#splitter(receiver);
    this.#socket.on("data", (chunk: Buffer) => {
      if (this.#closing) return; // Read and thrown away, so that the other side comes to read what we have said.
      splitter.push(chunk);
      this.#partial = splitter.partial;
      this.#watchPartial();
    });
    this.#socket.on("end", () => {
      splitter.end();
      this.#writeGathered();
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

  send(message: string | EncodedMessage): Promise<void> {
    // Writing after the end would destroy the socket, and with it the answers that are still on their way.
    if (!this.#socket.writable) return Promise.reject(new Error(this.#closeReason ?? "the connection is closed"));
    if (typeof message === "string" && message.length <= gatheredCharactersMax) {
      this.#gather(message);
    } else {
      this.#writeGathered();
      this.#write(message);
    }
    const full = this.#socket.writableLength + this.#gathered.length > this.#limits.highWaterBytes;
    if (full && this.#limits.pauseReadsWhenFull) {
      this.#full = true;
      this.#brake();
    }
    return this.#gate.wait(full);
  }

  pause(): void {
    this.#paused = true;
    this.#brake();
  }

  resume(): void {
    this.#paused = false;
    this.#brake();
  }

  /** Another limit for messages that come from now on: who has not proved anything need not send much. */
  limitMessages(bytesMax: number): void {
    this.#messageBytesMax = bytesMax;
  }

  close(reason: string): void {
    if (this.#closing) return;
    this.#closing = true;
    this.#closeReason ??= reason;
    if (this.#socket.destroyed) return; // Its `close` has come or is coming.
    this.#writeGathered();
    // What is queued still goes out, but a reader that does not take it may not hold the connection open.
    const cancel = this.#clock.after(this.#limits.writeDeadlineMs, () => this.#socket.destroy());
    this.#socket.once("close", cancel);
    this.#socket.end(() => this.#socket.destroy());
  }

  #splitter(receiver: TransportReceiver): LineSplitter {
    const bytesMax = (): number => this.#messageBytesMax;
    return new LineSplitter({
      get lineBytesMax() {
        return bytesMax();
      },
      onLine: (bytes) => {
        this.#messageEnded();
        if (bytes.length === 0 || this.#closing) return;
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
        const message = `a message may have ${bytesMax()} bytes`;
        receiver.problem({ kind: "too_large", message });
      },
      onSkipped: () => this.#messageEnded(),
    });
  }

  /** What is sent in one go leaves in one piece: many answers become known at one moment, with the sync of their group. */
  #gather(message: string): void {
    if (this.#gathered.length + message.length > gatheredCharactersMax) this.#writeGathered();
    if (this.#gathered !== "") {
      this.#gathered += `\n${message}`;
      return;
    }
    this.#gathered = message;
    process.nextTick(() => this.#writeGathered());
  }

  #writeGathered(): void {
    if (this.#gathered === "") return;
    const lines = this.#gathered;
    this.#gathered = "";
    if (this.#socket.writable) this.#write(lines);
  }

  #write(lines: string | EncodedMessage): void {
    const encoded = this.#encoder.encode(lines);
    this.#socket.write(encoded.bytes, (error) => {
      encoded.release();
      this.#flushed(error);
    });
  }

  #flushed(error: Error | null | undefined): void {
    if (error instanceof Error || this.#socket.writableLength > this.#limits.highWaterBytes) return;
    this.#gate.opened();
    if (!this.#full) return;
    this.#full = false;
    this.#brake();
  }

  #abort(reason: string): void {
    this.#closeReason ??= reason;
    this.#socket.destroy();
  }

  #brake(): void {
    if (this.#paused || this.#full) this.#socket.pause();
    else this.#socket.resume();
    this.#watchPartial();
  }

  /** The message that begins after this one has a time of its own. */
  #messageEnded(): void {
    this.#cancelPartialTimer?.();
    this.#cancelPartialTimer = undefined;
  }

  /** Half a line and then silence must not hold a connection for ever; a silence of our own making does not count. */
  #watchPartial(): void {
    if (!this.#partial || this.#paused || this.#full) {
      this.#messageEnded();
      return;
    }
    this.#cancelPartialTimer ??= this.#clock.after(this.#limits.partialMessageMs, () =>
      this.#abort("a message was begun and not finished in time"),
    );
  }
}
