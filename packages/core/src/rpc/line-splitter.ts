/**
 * Cuts a byte stream into lines without ever holding more than one line's limit.
 * A longer line is skipped as a whole: `overflow` is told once and reading goes on behind its newline.
 */
export interface LineSplitterOptions {
  readonly lineBytesMax: number;
  /** The line without its newline and without a carriage return before it. */
  readonly line: (bytes: Buffer) => void;
  readonly overflow: () => void;
}

const newline = 0x0a;
const carriageReturn = 0x0d;

export class LineSplitter {
  readonly #options: LineSplitterOptions;
  #parts: Buffer[] = [];
  #bytes = 0;
  #skipping = false;

  constructor(options: LineSplitterOptions) {
    this.#options = options;
  }

  /** Whether a line has begun and not ended. */
  get partial(): boolean {
    return this.#bytes > 0 || this.#skipping;
  }

  push(chunk: Buffer): void {
    let start = 0;
    for (let end = chunk.indexOf(newline); end !== -1; end = chunk.indexOf(newline, start)) {
      this.#take(chunk.subarray(start, end));
      this.#finish();
      start = end + 1;
    }
    if (start < chunk.length) this.#take(chunk.subarray(start));
  }

  /** The bytes after the last newline, when the stream has ended. */
  flush(): void {
    if (this.partial) this.#finish();
  }

  #take(part: Buffer): void {
    if (this.#skipping || part.length === 0) return;
    if (this.#bytes + part.length > this.#options.lineBytesMax) {
      this.#parts = [];
      this.#bytes = 0;
      this.#skipping = true;
      this.#options.overflow();
      return;
    }
    this.#parts.push(part);
    this.#bytes += part.length;
  }

  #finish(): void {
    if (this.#skipping) {
      this.#skipping = false;
      return;
    }
    const [first] = this.#parts;
    const bytes = first !== undefined && this.#parts.length === 1 ? first : Buffer.concat(this.#parts, this.#bytes);
    this.#parts = [];
    this.#bytes = 0;
    const length = bytes.length > 0 && bytes[bytes.length - 1] === carriageReturn ? bytes.length - 1 : bytes.length;
    if (length > 0) this.#options.line(bytes.subarray(0, length));
  }
}
