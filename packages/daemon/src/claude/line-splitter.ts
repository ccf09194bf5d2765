/**
 * Cuts a stream of bytes into lines of text.
 *
 * It works on bytes until a line is whole, so a code point split over two chunks is never broken (P6). A line over `lineBytesMax` is
 * not kept: its bytes are counted and thrown away until its end, then it is reported and reading goes on.
 * States: `collecting` a line, `skipping` one that has grown too long.
 */
const newline = 0x0a;
const carriageReturn = 0x0d;

export interface LineSplitterOptions {
  readonly lineBytesMax: number;
  /** A whole line without its end (LF or CRLF). Empty lines are reported too. */
  readonly onLine: (line: string) => void;
  readonly onSkipped: (bytes: number) => void;
}

export class LineSplitter {
  readonly #options: LineSplitterOptions;
  #parts: Uint8Array[] = [];
  #bytes = 0;

  constructor(options: LineSplitterOptions) {
    this.#options = options;
  }

  /** Takes the next chunk; calls back for each line that it completes. The chunk may be reused afterwards. */
  push(chunk: Uint8Array): void {
    let start = 0;
    for (;;) {
      const end = chunk.indexOf(newline, start);
      if (end === -1) break;
      this.#collect(chunk.subarray(start, end), false);
      this.#endLine();
      start = end + 1;
    }
    if (start < chunk.length) this.#collect(chunk.subarray(start), true);
  }

  /** The stream has ended: what is left is a line as well. */
  end(): void {
    if (this.#bytes > 0) this.#endLine();
  }

  #collect(part: Uint8Array, outlivesChunk: boolean): void {
    this.#bytes += part.length;
    if (this.#bytes > this.#options.lineBytesMax) this.#parts = [];
    else this.#parts.push(outlivesChunk ? Uint8Array.from(part) : part);
  }

  #endLine(): void {
    const parts = this.#parts;
    const bytes = this.#bytes;
    this.#parts = [];
    this.#bytes = 0;
    if (bytes > this.#options.lineBytesMax) {
      this.#options.onSkipped(bytes);
      return;
    }
    const line = Buffer.concat(parts, bytes);
    const length = line[bytes - 1] === carriageReturn ? bytes - 1 : bytes;
    this.#options.onLine(line.toString("utf8", 0, length));
  }
}
