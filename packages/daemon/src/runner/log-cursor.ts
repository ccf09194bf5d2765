import { closeSync, fstatSync, readSync } from "node:fs";
import { FileWarmer } from "./file-warmer.ts";
import { openSegment, segmentHeaderBytes, segmentIndexes, type LogAxis, type Segment } from "./log-segment.ts";
import { readBytesMax, takeReadBuffer } from "./read-buffers.ts";
import { readTurns } from "./read-turns.ts";

/**
 * Reads the log segments of one run (docs/runner-protocol.md "Files") from any byte on. A cursor never blocks the writer and holds
 * one open segment; buffers it shares with all others (P5, P7). Bytes that rotation has removed, or that a full disk kept out of
 * the log, become an explicit gap.
 */
export interface LogChunk {
  readonly stream: "stdout" | "stderr";
  /** Of the first byte, in its stream. */
  readonly offset: number;
  /** Of the first byte, in both streams together. */
  readonly position: number;
  /** Valid until the read is released. */
  readonly data: Buffer;
}

export interface LogRead {
  readonly chunks: readonly LogChunk[];
  /** Bytes before the first chunk that are no longer retained; 0 nearly always. */
  readonly gapBytes: number;
  /** To be called when the bytes have been copied or encoded, and before waiting for anybody; idempotent. */
  release(): void;
}

export type { LogAxis } from "./log-segment.ts";

const recordHeaderBytes = 16;

interface OpenRecord {
  readonly stream: LogChunk["stream"];
  left: number;
}

const nothing: LogRead = { chunks: [], gapBytes: 0, release: () => {} };

export class LogCursor implements AsyncDisposable {
  readonly #directory: string;
  readonly #axis: LogAxis;
  readonly #warmer = new FileWarmer();
  /** Next byte to deliver, on the cursor's axis. */
  #target: number;
  #segment: Segment | undefined;
  /** Opened already: what comes behind the current segment, which has therefore its last byte. */
  #next: Segment | undefined;
  #fileOffset = 0;
  /** The record that #fileOffset lies in, and how much of it is left. */
  #record: OpenRecord | undefined;
  /** Offsets of the byte at #fileOffset, as far as the records have told: what was lost shows only in the next record. */
  #at = { stdout: 0, stderr: 0 };

  constructor(directory: string, from: number, axis: LogAxis = "position") {
    this.#directory = directory;
    this.#axis = axis;
    this.#target = from;
  }

  get #position(): number {
    return this.#at.stdout + this.#at.stderr;
  }

  /** Where the next read continues, on the cursor's axis. */
  get offset(): number {
    return this.#target;
  }

  /**
   * Reads a piece of what lies before `publishedPosition` (what the shim has announced), at most `bytesMax`, when this reader's turn
   * has come. Answers no chunks when everything announced has been delivered.
   */
  async read(publishedPosition: number, bytesMax: number = readBytesMax): Promise<LogRead> {
    for (;;) {
      if (this.#segment === undefined && !(await this.#seek())) return nothing;
      if (this.#position >= publishedPosition) return nothing;
      const { file } = this.#segment as Segment;
      await this.#warmer.warm(file, this.#fileOffset, this.#position, publishedPosition);
      await readTurns.next();
      const buffer = takeReadBuffer();
      const chunks = this.#readSome(file, buffer.bytes, publishedPosition, bytesMax);
      const first = chunks?.[0];
      if (chunks === undefined || first === undefined) {
        buffer.release();
        if (chunks === undefined && !(await this.#nextSegment())) return nothing;
        continue; // In the next segment, or behind records of the other stream.
      }
      const start = this.#axis === "position" ? first.position : first.offset;
      const gapBytes = Math.max(0, start - this.#target);
      const last = chunks[chunks.length - 1] as LogChunk;
      this.#target = (this.#axis === "position" ? last.position : last.offset) + last.data.length;
      return { chunks, gapBytes, release: () => buffer.release() };
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const open = [this.#segment, this.#next];
    this.#segment = this.#next = undefined;
    for (const segment of open) if (segment !== undefined) closeSync(segment.file);
  }

  /** Opens the last segment that begins at or before the target. */
  async #seek(): Promise<boolean> {
    const indexes = await segmentIndexes(this.#directory);
    for (let at = indexes.length - 1; at >= 0; at -= 1) {
      const segment = openSegment(this.#directory, indexes[at] as number);
      if (segment === undefined) continue;
      if (at === 0 || segment.start[this.#axis] <= this.#target) {
        this.#enter(segment);
        return true;
      }
      closeSync(segment.file);
    }
    return false;
  }

  /**
   * Answers whether there is more to read. That there is a later segment means that the current one is complete, so it is
   * read to its end once more: it may have grown since.
   */
  async #nextSegment(): Promise<boolean> {
    const current = this.#segment as Segment;
    if (this.#next !== undefined) {
      closeSync(current.file);
      this.#enter(this.#next);
      this.#next = undefined;
      return true;
    }
    let next = openSegment(this.#directory, current.index + 1);
    if (next === undefined) {
      const later = (await segmentIndexes(this.#directory)).find((index) => index > current.index);
      next = later === undefined ? undefined : openSegment(this.#directory, later);
    }
    this.#next = next;
    return next !== undefined;
  }

  #enter(segment: Segment): void {
    this.#segment = segment;
    this.#fileOffset = segmentHeaderBytes;
    this.#record = undefined;
    this.#at = { stdout: segment.start.stdout, stderr: segment.start.stderr };
    this.#warmer.enter();
  }

  /** Undefined at the end of the segment, as far as it is written. */
  #readSome(file: number, buffer: Buffer, publishedPosition: number, bytesMax: number): LogChunk[] | undefined {
    const want = Math.min(buffer.length, Math.max(bytesMax + recordHeaderBytes, 4096));
    const bytes = buffer.subarray(0, readSync(file, buffer, 0, want, this.#fileOffset));
    readTurns.took(bytes.length);
    const chunks: LogChunk[] = [];
    let left = bytesMax;
    let at = 0;
    while (left > 0 && at < bytes.length && this.#position < publishedPosition) {
      if (this.#record === undefined) {
        if (!this.#begin(file, bytes.subarray(at), this.#fileOffset + at, chunks.length > 0)) break;
        at += recordHeaderBytes;
      }
      at += this.#skip();
      const chunk = this.#take(bytes.subarray(at, at + left));
      if (chunk === undefined) continue;
      chunks.push(chunk);
      at += chunk.data.length;
      left -= chunk.data.length;
      if (this.#record !== undefined) break; // Cut here on purpose: a few bytes of a character may be left in the buffer.
    }
    this.#fileOffset += at;
    return at === 0 ? undefined : chunks;
  }

  /** Enters the next record when it is all there. A gap lies before the first chunk of a read, never between two. */
  #begin(file: number, bytes: Buffer, fileOffset: number, mustFollow: boolean): boolean {
    if (bytes.length < recordHeaderBytes) return false;
    const stream = bytes[0] === 2 ? "stderr" : "stdout";
    const left = bytes.readUInt32LE(4);
    const offset = Number(bytes.readBigUInt64LE(8));
    if (mustFollow && offset > this.#at[stream]) return false;
    // Half a record is still being written, and not announced: where bytes were lost, positions reach further than records.
    const whole = recordHeaderBytes + left;
    if (bytes.length < whole && fstatSync(file).size < fileOffset + whole) return false;
    this.#at[stream] = offset;
    this.#record = { stream, left };
    return true;
  }

  /** Passes over what of the record lies before the target, all of it in the other stream; answers how many bytes. */
  #skip(): number {
    if (this.#record === undefined) return 0;
    const { stream, left } = this.#record;
    const here = this.#axis === "position" ? this.#position : this.#at[stream];
    const other = this.#axis !== "position" && this.#axis !== stream;
    return this.#advance(other ? left : Math.min(left, Math.max(0, this.#target - here)));
  }

  /** The record's bytes at the beginning of `bytes`. */
  #take(bytes: Buffer): LogChunk | undefined {
    if (this.#record === undefined || bytes.length === 0) return undefined;
    const { stream, left } = this.#record;
    const data = bytes.length >= left ? bytes.subarray(0, left) : wholeCharacters(bytes);
    const chunk = { stream, offset: this.#at[stream], position: this.#position, data };
    this.#advance(data.length);
    return chunk;
  }

  #advance(bytes: number): number {
    const record = this.#record as OpenRecord;
    this.#at[record.stream] += bytes;
    record.left -= bytes;
    if (record.left === 0) this.#record = undefined;
    return bytes;
  }
}

/** Not cut in the middle of a code point, where there is a choice: text then stays text instead of base64. */
function wholeCharacters(bytes: Buffer): Buffer {
  for (let back = 1; back <= 3 && back < bytes.length; back += 1) {
    const byte = bytes[bytes.length - back] as number;
    if (byte < 0x80) break;
    if (byte < 0xc0) continue;
    const size = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2;
    return size > back ? bytes.subarray(0, -back) : bytes;
  }
  return bytes;
}
