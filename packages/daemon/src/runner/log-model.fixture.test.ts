/** A log as docs/runner-protocol.md says, written byte by byte, with a model that knows which bytes were ever in it. */
import { appendFileSync, realpathSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { temporaryFolder } from "@hl/testkit/programs.ts";
import { LogCursor, type LogAxis } from "./log-cursor.ts";

export type Stream = "stdout" | "stderr";

export interface Piece {
  readonly stream: Stream;
  readonly bytes: number;
  /** Counted, but never in the log: the disk was full. */
  readonly lost?: boolean | undefined;
  /** A new segment begins here. */
  readonly rotate?: boolean | undefined;
}

export interface Kept {
  readonly stream: Stream;
  readonly offset: number;
  readonly value: number;
}

/** The byte at an offset of a stream: never the same for both streams, and never the same nearby. */
const byteAt = (stream: Stream, offset: number): number => (stream === "stdout" ? 0 : 128) + (offset % 127);

export class Log {
  readonly directory: string;
  readonly at = { stdout: 0, stderr: 0 };
  /** Every byte that a reader must find, in order. */
  readonly kept: Kept[] = [];
  #segment = -1;

  constructor(directory: string) {
    this.directory = directory;
  }

  get position(): number {
    return this.at.stdout + this.at.stderr;
  }

  get #file(): string {
    return join(this.directory, `log.${String(this.#segment).padStart(6, "0")}`);
  }

  rotate(number = this.#segment + 1): void {
    this.#segment = number;
    const header = Buffer.alloc(32);
    header.write("HLLOG1\n\0", "latin1");
    for (const [at, value] of [this.position, this.at.stdout, this.at.stderr].entries()) {
      header.writeBigUInt64LE(BigInt(value), 8 + 8 * at);
    }
    writeFileSync(this.#file, header);
  }

  write({ stream, bytes, lost, rotate }: Piece): void {
    if (this.#segment === -1 || rotate === true) this.rotate();
    if (lost !== true) {
      appendFileSync(this.#file, this.record(stream, bytes));
      for (let at = 0; at < bytes; at += 1) {
        const offset = this.at[stream] + at;
        this.kept.push({ stream, offset, value: byteAt(stream, offset) });
      }
    }
    this.at[stream] += bytes;
  }

  record(stream: Stream, bytes: number): Buffer {
    const record = Buffer.alloc(16 + bytes);
    record[0] = stream === "stdout" ? 1 : 2;
    record.writeUInt32LE(bytes, 4);
    record.writeBigUInt64LE(BigInt(this.at[stream]), 8);
    for (let at = 0; at < bytes; at += 1) record[16 + at] = byteAt(stream, this.at[stream] + at);
    return record;
  }

  writeText(stream: Stream, text: string): void {
    const bytes = Buffer.from(text);
    const record = this.record(stream, bytes.length);
    bytes.copy(record, 16);
    appendFileSync(this.#file, record);
    this.at[stream] += bytes.length;
  }

  /** The shim is in the middle of writing this. */
  writePart(bytes: Buffer): void {
    appendFileSync(this.#file, bytes);
  }

  cursor(from: number, axis: LogAxis): LogCursor {
    return new LogCursor(this.directory, from, axis);
  }
}

export function folder(): { readonly log: Log } & Disposable {
  const made = temporaryFolder("hl-log");
  return { log: new Log(realpathSync(made.path)), [Symbol.dispose]: () => made[Symbol.dispose]() };
}
