import { followRun } from "./follow.ts";
import type { LogRead } from "./log-cursor.ts";
import type { Run } from "./run.ts";

/** Where the lines go. */
export interface LineReader {
  receive(chunk: Uint8Array): void;
  lost(bytes: number): void;
}

export interface ProgramOutputOptions {
  readonly run: Run;
  readonly reader: LineReader;
  /** The byte of the log to begin with. */
  readonly from: number;
  /** Read at a time; as much as the log's reader gives without it, and never more. */
  readonly readBytesMax?: number | undefined;
  /** Asked behind each read: what it answers is waited for before the next. */
  readonly pace?: (() => Promise<void> | undefined) | undefined;
}

const newline = 0x0a;
const stderrTailBytes = 2_048;

/**
 * The output of a program that speaks in lines, on its way from the log to whoever understands them, so that `position` is always the byte
 * behind the line whose effects are being told: what is recorded with them says from where a later daemon has to read again (P3).
 */
export class ProgramOutput {
  readonly #options: ProgramOutputOptions;
  readonly #stop = new AbortController();
  #position: number;
  #readUpTo: number;
  #stderr = "";

  constructor(options: ProgramOutputOptions) {
    this.#options = options;
    this.#position = options.from;
    this.#readUpTo = options.from;
  }

  /** The byte of the log behind the last whole line. */
  get position(): number {
    return this.#position;
  }

  get stderrTail(): string {
    return this.#stderr;
  }

  /** Reads what the log has now, and no further: it ends, however fast the program writes. */
  async catchUp(): Promise<void> {
    const { run, readBytesMax, pace } = this.#options;
    await using cursor = run.cursor(this.#readUpTo);
    const published = run.output.position;
    for (;;) {
      const read = await cursor.read(published, readBytesMax);
      if (read.chunks.length === 0) return;
      this.#take(read);
      read.release();
      await pace?.();
    }
  }

  /** Reads as the log grows, until the run has ended and everything was read, or `stop` is called. */
  async follow(): Promise<void> {
    const { run, readBytesMax, pace } = this.#options;
    for await (const read of followRun(run, this.#readUpTo, this.#stop.signal, readBytesMax)) {
      this.#take(read);
      read.release();
      await pace?.();
    }
  }

  stop(): void {
    this.#stop.abort();
  }

  get stopped(): boolean {
    return this.#stop.signal.aborted;
  }

  #take({ chunks, gapBytes }: LogRead): void {
    if (gapBytes > 0) this.#options.reader.lost(gapBytes);
    for (const { stream, data, position } of chunks) {
      if (stream === "stdout") this.#takeLines(data, position);
      else this.#stderr = (this.#stderr + data.toString("utf8")).slice(-stderrTailBytes);
      this.#readUpTo = position + data.length;
    }
  }

  #takeLines(data: Buffer, position: number): void {
    const { reader } = this.#options;
    let start = 0;
    for (let end = data.indexOf(newline); end !== -1; end = data.indexOf(newline, start)) {
      this.#position = position + end + 1;
      reader.receive(data.subarray(start, end + 1));
      start = end + 1;
    }
    if (start < data.length) reader.receive(data.subarray(start));
  }
}
