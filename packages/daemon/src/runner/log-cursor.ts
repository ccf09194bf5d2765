import { closeSync, openSync, read as readCallback, readSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

/**
 * Reads the log segments of one run (docs/runner-protocol.md "Files") from any byte on. A cursor never blocks the writer
 * and holds one open segment and one buffer (P5, P7). Bytes that rotation has removed, or that a full disk kept out of the
 * log, become an explicit gap.
 */
export interface LogChunk {
  readonly stream: "stdout" | "stderr";
  /** Of the first byte, in its stream. */
  readonly offset: number;
  /** Of the first byte, in both streams together. */
  readonly position: number;
  /** Valid until the next read. */
  readonly data: Buffer;
}

export interface LogRead {
  readonly chunks: readonly LogChunk[];
  /** Bytes before the first chunk that are no longer retained; 0 nearly always. */
  readonly gapBytes: number;
}

export type LogAxis = "position" | "stdout" | "stderr";

const segmentHeaderBytes = 32;
const recordHeaderBytes = 16;
const bufferBytes = 1024 * 1024;
/**
 * What has just been written lies in memory: so little of it is copied faster than another thread is woken, which is most of what
 * an agent's line or a command's few lines would wait for.
 */
const readAtOnceBytesMax = 64 * 1024;
const readOnThreadPool = promisify(readCallback);

const nothing: LogRead = { chunks: [], gapBytes: 0 };

interface Segment {
  readonly index: number;
  /** A file descriptor. */
  readonly file: number;
  readonly start: Readonly<Record<LogAxis, number>>;
}

export class LogCursor implements AsyncDisposable {
  readonly #directory: string;
  readonly #axis: LogAxis;
  /** Next byte to deliver, on the cursor's axis. */
  #target: number;
  #segment: Segment | undefined;
  /** Opened already: what comes behind the current segment, which has therefore its last byte. */
  #next: Segment | undefined;
  #fileOffset = 0;
  /** Offsets of the byte at #fileOffset, as far as the records have told: what was lost shows only in the next record. */
  #at = { stdout: 0, stderr: 0 };
  #buffer: Buffer | undefined;

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
   * Reads what lies before `publishedPosition` (what the shim has announced), at most about `bytesMax`.
   * Answers no chunks when everything announced has been delivered.
   */
  async read(publishedPosition: number, bytesMax: number = bufferBytes): Promise<LogRead> {
    for (;;) {
      if (this.#segment === undefined && !(await this.#seek())) return nothing;
      if (this.#position >= publishedPosition) return nothing;
      const chunks = await this.#readSome(publishedPosition, bytesMax);
      if (chunks === "end of segment") {
        if (!(await this.#nextSegment())) return nothing;
        continue;
      }
      const [first] = chunks;
      if (first === undefined) continue; // Only records of the other stream, or before the target.
      const start = this.#axis === "position" ? first.position : first.offset;
      const gapBytes = Math.max(0, start - this.#target);
      const last = chunks[chunks.length - 1] as LogChunk;
      this.#target = (this.#axis === "position" ? last.position : last.offset) + last.data.length;
      return { chunks, gapBytes };
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const open = [this.#segment, this.#next];
    this.#segment = this.#next = undefined;
    for (const segment of open) if (segment !== undefined) closeSync(segment.file);
  }

  /** Opens the last segment that begins at or before the target. */
  async #seek(): Promise<boolean> {
    const indexes = await this.#indexes();
    for (let at = indexes.length - 1; at >= 0; at -= 1) {
      const segment = this.#open(indexes[at] as number);
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
    let next = this.#open(current.index + 1);
    if (next === undefined) {
      const later = (await this.#indexes()).find((index) => index > current.index);
      next = later === undefined ? undefined : this.#open(later);
    }
    this.#next = next;
    return next !== undefined;
  }

  #enter(segment: Segment): void {
    this.#segment = segment;
    this.#fileOffset = segmentHeaderBytes;
    this.#at = { stdout: segment.start.stdout, stderr: segment.start.stderr };
  }

  async #readSome(publishedPosition: number, bytesMax: number): Promise<LogChunk[] | "end of segment"> {
    const { file } = this.#segment as Segment;
    // With room for the headers of many small records.
    const few = 4 * (publishedPosition - this.#position) <= readAtOnceBytesMax;
    const want = Math.min(few ? readAtOnceBytesMax : bufferBytes, Math.max(bytesMax + recordHeaderBytes, 4096));
    const buffer = this.#bufferOf(want);
    const bytesRead = few
      ? readSync(file, buffer, 0, want, this.#fileOffset)
      : (await readOnThreadPool(file, buffer, 0, want, this.#fileOffset)).bytesRead;
    const chunks: LogChunk[] = [];
    let at = 0;
    while (at + recordHeaderBytes <= bytesRead && this.#position < publishedPosition) {
      const length = buffer.readUInt32LE(at + 4);
      const streamOffset = Number(buffer.readBigUInt64LE(at + 8));
      const stream = buffer[at] === 2 ? "stderr" : "stdout";
      const whole = at + recordHeaderBytes + length <= bytesRead;
      // A record that does not fit is read again from its header, unless it is alone and larger than the buffer.
      if (!whole && at > 0) break;
      // A gap lies before the first chunk of a read, never between two.
      if (streamOffset > this.#at[stream] && chunks.length > 0) break;
      const available = Math.min(length, bytesRead - at - recordHeaderBytes);
      const data = buffer.subarray(at + recordHeaderBytes, at + recordHeaderBytes + available);
      if (!whole && available < length) {
        return await this.#readLargeRecord(stream, streamOffset, length);
      }
      this.#keep(chunks, stream, streamOffset, data);
      at += recordHeaderBytes + length;
    }
    this.#fileOffset += at;
    return at === 0 ? "end of segment" : chunks;
  }

  /** Half a record is still being written, and not announced: where bytes were lost, positions reach further than records. */
  async #readLargeRecord(
    stream: LogChunk["stream"],
    streamOffset: number,
    length: number,
  ): Promise<LogChunk[] | "end of segment"> {
    const { file } = this.#segment as Segment;
    const data = Buffer.allocUnsafe(length);
    const { bytesRead } = await readOnThreadPool(file, data, 0, length, this.#fileOffset + recordHeaderBytes);
    if (bytesRead < length) return "end of segment";
    const chunks: LogChunk[] = [];
    this.#keep(chunks, stream, streamOffset, data);
    this.#fileOffset += recordHeaderBytes + length;
    return chunks;
  }

  /** Adds what lies behind the target; cuts the record in which the target lies. */
  #keep(chunks: LogChunk[], stream: LogChunk["stream"], offset: number, data: Buffer): void {
    this.#at[stream] = offset;
    const position = this.#position;
    this.#at[stream] += data.length;
    if (this.#axis !== "position" && this.#axis !== stream) return;
    const start = this.#axis === "position" ? position : offset;
    const skip = Math.max(0, this.#target - start);
    if (skip >= data.length) return;
    chunks.push({ stream, offset: offset + skip, position: position + skip, data: data.subarray(skip) });
  }

  #bufferOf(bytes: number): Buffer {
    if (this.#buffer === undefined || this.#buffer.length < bytes) this.#buffer = Buffer.allocUnsafeSlow(bytes);
    return this.#buffer;
  }

  #open(index: number): Segment | undefined {
    let file: number;
    try {
      file = openSync(join(this.#directory, `log.${String(index).padStart(6, "0")}`), "r");
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
      throw error;
    }
    const header = Buffer.alloc(segmentHeaderBytes);
    if (readSync(file, header, 0, segmentHeaderBytes, 0) < segmentHeaderBytes) {
      closeSync(file);
      return undefined; // Just created: nothing of it has been announced yet.
    }
    const at = (offset: number): number => Number(header.readBigUInt64LE(offset));
    return { index, file, start: { position: at(8), stdout: at(16), stderr: at(24) } };
  }

  async #indexes(): Promise<number[]> {
    const names = await readdir(this.#directory).catch(() => []);
    return names
      .filter((name) => /^log\.\d{6,}$/.test(name))
      .map((name) => Number(name.slice(4)))
      .sort((a, b) => a - b);
  }
}
