import type { CommandOutput } from "@hl/protocol/methods/command-result.ts";

/** What to print of one chunk, and how many bytes before it nobody will ever deliver. */
export interface Taken {
  readonly bytes: Buffer;
  /** Bytes of the chunk that were printed before. */
  readonly repeated: number;
  readonly missing: number;
}

/**
 * Where a reader of a command's output stands, in bytes of both streams together. A stream that begins again
 * elsewhere is cut so that no byte is printed twice; bytes that never come are counted, not passed over (P5).
 */
export class OutputCursor {
  #position: number;

  constructor(position = 0) {
    this.#position = position;
  }

  /** Behind the last byte that was taken: ask from here after a reconnect. */
  get position(): number {
    return this.#position;
  }

  take(output: CommandOutput): Taken {
    const bytes = Buffer.from(output.data, output.encoding === "base64" ? "base64" : "utf8");
    const missing = Math.max(0, output.position - this.#position);
    const repeated = Math.min(bytes.length, Math.max(0, this.#position - output.position));
    this.#position = Math.max(this.#position, output.position + bytes.length);
    return { bytes: repeated === 0 ? bytes : bytes.subarray(repeated), repeated, missing };
  }

  /** Accepts that a stretch is gone; answers how many bytes we have not printed up to its end. */
  skip(from: number, byteCount: number): number {
    const end = from + byteCount;
    const missing = Math.max(0, end - this.#position);
    this.#position = Math.max(this.#position, end);
    return missing;
  }
}
