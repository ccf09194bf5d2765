/**
 * Cuts a stream of bytes into lines.
 *
 * It works on bytes until a line is whole, so a code point split over two chunks is never broken (P6). A line over `lineBytesMax` is
 * not kept: its bytes are counted and thrown away until its end, and reading goes on behind it (P7).
 * States: `collecting` a line, `skipping` one that has grown too long.
 */
export interface LineSplitterOptions {
  readonly lineBytesMax: number;
  /** A whole line without its end (LF or CRLF), also an empty one. The bytes belong to the caller only until it returns. */
  readonly onLine: (bytes: Buffer) => void;
  /** The line being read is too long; told once, before its end. */
  readonly onOverflow?: (() => void) | undefined;
  /** A line that was too long has ended after so many bytes. */
  readonly onSkipped?: ((bytes: number) => void) | undefined;
}

const newline = 0x0a;
const carriageReturn = 0x0d;
const nothing = Buffer.alloc(0);
/** What a connection keeps for its next unfinished line; the room for a rare long one is given back. */
const idleBytesMax = 64 * 1024;

export class LineSplitter {
  readonly #options: LineSplitterOptions;
  /** Copied into one buffer: a list of parts would cost a caller who sends byte by byte a hundred times their size (P7). */
  #held = nothing;
  #bytes = 0;
  #skipping = false;

  constructor(options: LineSplitterOptions) {
    this.#options = options;
  }

  /** Whether a line has begun and not ended. */
  get partial(): boolean {
    return this.#bytes > 0;
  }

  /** Takes the next chunk; calls back for each line that it completes. The chunk may be reused afterwards. */
  push(chunk: Uint8Array): void {
    const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    let start = 0;
    for (let end = bytes.indexOf(newline); end !== -1; end = bytes.indexOf(newline, start)) {
      this.#finish(bytes.subarray(start, end));
      start = end + 1;
    }
    if (start < bytes.length) this.#keep(bytes.subarray(start));
  }

  /** Bytes of the stream are missing here: the line that has begun is thrown away, and what comes next begins a new one. */
  drop(): void {
    this.#held = nothing;
    this.#bytes = 0;
    this.#skipping = false;
  }

  /** The stream has ended: what is left is a line as well. */
  end(): void {
    if (this.partial) this.#finish(nothing);
  }

  #keep(part: Buffer): void {
    const bytes = this.#bytes + part.length;
    if (bytes > this.#options.lineBytesMax) this.#overflow();
    if (!this.#skipping) {
      if (bytes > this.#held.length) this.#grow(bytes);
      part.copy(this.#held, this.#bytes);
    }
    this.#bytes = bytes;
  }

  #finish(part: Buffer): void {
    // Most lines lie within one chunk and need no copy.
    const whole = !this.partial && part.length <= this.#options.lineBytesMax;
    if (!whole) this.#keep(part);
    const line = whole ? part : this.#held.subarray(0, this.#bytes);
    const skipped = this.#skipping ? this.#bytes : undefined;
    if (this.#held.length > idleBytesMax) this.#held = nothing;
    this.#bytes = 0;
    this.#skipping = false;
    if (skipped !== undefined) {
      this.#options.onSkipped?.(skipped);
      return;
    }
    this.#options.onLine(line.at(-1) === carriageReturn ? line.subarray(0, -1) : line);
  }

  #overflow(): void {
    if (this.#skipping) return;
    this.#skipping = true;
    this.#held = nothing;
    this.#options.onOverflow?.();
  }

  #grow(bytes: number): void {
    const grown = Buffer.allocUnsafe(Math.min(Math.max(bytes, this.#held.length * 2, 256), this.#options.lineBytesMax));
    this.#held.copy(grown, 0, 0, this.#bytes);
    this.#held = grown;
  }
}
