import type { Readable } from "node:stream";

/** Bytes of input in one request, and as much is read ahead while the one before is on its way. */
export const pieceBytesMax = 1024 * 1024;

/**
 * What standard input has brought and nobody has taken yet. It reads on while a request is under way, so that what was typed
 * meanwhile goes in one piece, and stops reading when a piece is full, so that a command which does not read costs no memory.
 */
export class InputBuffer {
  readonly #input: Readable;
  #parts: Buffer[] = [];
  #bytes = 0;
  #ended = false;
  #failure: Error | undefined;
  #wake: (() => void) | undefined;

  /** @param filter sees each chunk before it is kept. */
  constructor(input: Readable, filter: (chunk: Buffer) => Buffer) {
    this.#input = input;
    input.on("data", (chunk: Buffer) => {
      const kept = filter(chunk);
      this.#parts.push(kept);
      this.#bytes += kept.length;
      if (this.#bytes >= pieceBytesMax) input.pause();
      this.#wake?.();
    });
    input.once("end", () => this.#end());
    input.once("close", () => this.#end());
    input.once("error", (error) => this.#end(error));
  }

  /** Everything that is there, up to a piece; undefined at the end of input. */
  async next(): Promise<Buffer | undefined> {
    while (this.#bytes === 0 && !this.#ended) {
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
    if (this.#bytes === 0) {
      if (this.#failure !== undefined) throw this.#failure;
      return undefined;
    }
    const all = this.#parts.length === 1 ? (this.#parts[0] as Buffer) : Buffer.concat(this.#parts);
    const rest = all.subarray(pieceBytesMax);
    this.#parts = [rest];
    this.#bytes = rest.length;
    if (this.#bytes < pieceBytesMax && !this.#ended) this.#input.resume();
    return all.subarray(0, pieceBytesMax);
  }

  #end(error?: Error): void {
    this.#ended = true;
    this.#failure ??= error;
    this.#wake?.();
  }
}
