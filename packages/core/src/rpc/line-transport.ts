import { textOf, type EncodedMessage } from "./encoded-message.ts";
import { LineSplitter } from "./line-splitter.ts";
import type { Transport, TransportReceiver } from "./transport.ts";

/**
 * One JSON message a line over two ways that are not one socket: standard input and output, at either end of them. Its owner brings
 * what has come in (`receive`) and says when nothing more can come (`end`).
 * States: open → closed.
 */
export interface LineTransportOptions {
  readonly lineBytesMax: number;
  /** Takes the bytes of whole lines, in order; resolves when more may follow. */
  readonly write: (bytes: Buffer) => Promise<unknown>;
  /** Stops and goes on bringing what comes in, where the owner can. */
  readonly flow?: ((paused: boolean) => void) | undefined;
  readonly close: () => void;
}

export class LineTransport implements Transport {
  readonly #options: LineTransportOptions;
  readonly #splitter: LineSplitter;
  readonly #decoder = new TextDecoder("utf-8", { fatal: true });
  #receiver: TransportReceiver | undefined;
  #isClosed = false;

  constructor(options: LineTransportOptions) {
    this.#options = options;
    const { lineBytesMax } = options;
    this.#splitter = new LineSplitter({
      lineBytesMax,
      onLine: (bytes) => this.#deliver(bytes),
      onOverflow: () =>
        this.#receiver?.problem({ kind: "too_large", message: `a message may have ${lineBytesMax} bytes` }),
    });
  }

  open(receiver: TransportReceiver): void {
    this.#receiver = receiver;
  }

  async send(message: string | EncodedMessage): Promise<void> {
    if (this.#isClosed) throw new Error("the connection is closed");
    await this.#options.write(Buffer.from(`${typeof message === "string" ? message : textOf(message)}\n`));
  }

  pause(): void {
    this.#options.flow?.(true);
  }

  resume(): void {
    this.#options.flow?.(false);
  }

  close(reason: string): void {
    if (this.#isClosed) return;
    this.#options.close();
    this.end(reason);
  }

  /** Bytes have come, any number of lines and parts of them. They belong to the caller again afterwards. */
  receive(chunk: Uint8Array): void {
    if (!this.#isClosed) this.#splitter.push(chunk);
  }

  /** Nothing more comes and nothing more can be sent. */
  end(reason: string): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#receiver?.closed(reason);
  }

  #deliver(bytes: Buffer): void {
    if (bytes.length === 0) return;
    let text: string;
    try {
      text = this.#decoder.decode(bytes);
    } catch {
      this.#receiver?.problem({ kind: "not_text", message: "the line is not valid UTF-8" });
      return;
    }
    this.#receiver?.message(text);
  }
}
