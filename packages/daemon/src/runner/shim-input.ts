import { frameType, inputWindowBytes, tag, type Field, type Fields } from "./frames.ts";

/** The connection's side of it. */
export interface InputPorts {
  send(type: number, fields: readonly Field[]): void;
  isLost(): boolean;
}

export interface InputTaken {
  /** Where the bytes lie in the whole input; undefined when they never got a place. */
  readonly begin: number | undefined;
  readonly taken: number;
}

/**
 * A program's standard input, over one connection to its shim. Counts three positions in it: what callers have handed over, what
 * of it has been sent, what the program's pipe or terminal has taken; between the last two lies at most the shim's window (P7).
 */
export class ShimInput {
  readonly #ports: InputPorts;
  readonly #known = Promise.withResolvers<undefined>();
  #handedOver = 0;
  #sent = 0;
  #taken = 0;
  #isClosed = false;
  #eofAt: number | undefined;
  #waiters: (() => void)[] = [];
  #tail: Promise<unknown> = Promise.resolve();

  constructor(ports: InputPorts) {
    this.#ports = ports;
  }

  /** Settles when it is known what the shim had before this connection. */
  get known(): Promise<undefined> {
    return this.#known.promise;
  }

  know(): void {
    this.#known.resolve(undefined);
  }

  /** Where the next bytes begin. */
  get offset(): number {
    return Math.max(this.#handedOver, this.#sent);
  }

  /** Resolves with how many of the bytes were taken: fewer when nobody reads any more, or when that cannot be known. */
  async write(data: Uint8Array, offset?: number): Promise<InputTaken> {
    await this.#known.promise;
    if (this.#ports.isLost()) return { begin: offset, taken: 0 };
    const begin = offset ?? this.offset;
    if (begin > this.offset || data.length === 0) return { begin, taken: 0 }; // Nothing to wait for, whatever is under way.
    const fresh = data.subarray(Math.min(data.length, this.offset - begin));
    const end = begin + data.length;
    this.#handedOver = Math.max(this.offset, end);
    const sent = this.#tail.then(() => this.#send(fresh));
    this.#tail = sent;
    await sent;
    while (this.#taken < end && !this.#isOver) await this.#change();
    return { begin, taken: Math.max(0, Math.min(this.#taken, end) - begin) };
  }

  /** After what was handed over before. */
  async end(at: number | undefined): Promise<void> {
    if (at !== undefined && at === this.#eofAt) return;
    this.#eofAt = at;
    await this.#tail;
    this.#ports.send(frameType.inputEof, []);
  }

  onTaken(fields: Fields): void {
    // More than we have sent: a daemon before us did, and our bytes count from there.
    this.#sent = Math.max(this.#sent, fields.number(tag.received) ?? 0);
    this.#taken = fields.number(tag.total) ?? this.#taken;
    if (fields.number(tag.closed) === 1) this.#isClosed = true;
    this.know();
    this.#wake();
  }

  /** Nothing will be taken any more. */
  close(): void {
    this.#isClosed = true;
    this.#wake();
  }

  /** The connection is lost; how far the input has got is the shim's to say. */
  lose(): void {
    this.know();
    this.#wake();
  }

  #wake(): void {
    for (const wake of this.#waiters.splice(0)) wake();
  }

  get #isOver(): boolean {
    return this.#isClosed || this.#ports.isLost();
  }

  async #send(data: Uint8Array): Promise<void> {
    for (let at = 0; at < data.length; at += inputWindowBytes) {
      const piece = data.subarray(at, at + inputWindowBytes);
      while (this.#sent - this.#taken + piece.length > inputWindowBytes && !this.#isOver) await this.#change();
      if (this.#isOver) return;
      this.#sent += piece.length;
      this.#ports.send(frameType.input, [[tag.data, piece]]);
    }
  }

  #change(): Promise<void> {
    return new Promise((resolve) => {
      this.#waiters.push(resolve);
    });
  }
}
