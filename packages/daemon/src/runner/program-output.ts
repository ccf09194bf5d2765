import { followRun } from "./follow.ts";
import type { LogRead } from "./log-cursor.ts";
import type { Run } from "./run.ts";

/** Where the lines go. */
export interface LineReader {
  receive(chunk: Uint8Array): void;
  lost(bytes: number): void;
}

const newline = 0x0a;
const stderrTailBytes = 2_048;

/**
 * The output of a program that speaks in lines, on its way from the log to whoever understands them, so that `position` is always the byte
 * behind the line whose effects are being told: what is recorded with them says from where a later daemon has to read again (P3).
 */
export class ProgramOutput {
  readonly #run: Run;
  readonly #reader: LineReader;
  readonly #stop = new AbortController();
  readonly #pace: () => Promise<void> | undefined;
  #position: number;
  #readUpTo: number;
  #stderr = "";

  /** @param pace asked behind each read: what it answers is waited for before the next */
  constructor(run: Run, reader: LineReader, from: number, pace: () => Promise<void> | undefined = () => undefined) {
    this.#pace = pace;
    this.#run = run;
    this.#reader = reader;
    this.#position = from;
    this.#readUpTo = from;
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
    await using cursor = this.#run.cursor(this.#readUpTo);
    const published = this.#run.output.position;
    for (;;) {
      const read = await cursor.read(published);
      if (read.chunks.length === 0) return;
      this.#take(read);
      read.release();
      await this.#pace();
    }
  }

  /** Reads as the log grows, until the run has ended and everything was read, or `stop` is called. */
  async follow(): Promise<void> {
    for await (const read of followRun(this.#run, this.#readUpTo, this.#stop.signal)) {
      this.#take(read);
      read.release();
      await this.#pace();
    }
  }

  stop(): void {
    this.#stop.abort();
  }

  get stopped(): boolean {
    return this.#stop.signal.aborted;
  }

  #take({ chunks, gapBytes }: LogRead): void {
    if (gapBytes > 0) this.#reader.lost(gapBytes);
    for (const { stream, data, position } of chunks) {
      if (stream === "stdout") this.#takeLines(data, position);
      else this.#stderr = (this.#stderr + data.toString("utf8")).slice(-stderrTailBytes);
      this.#readUpTo = position + data.length;
    }
  }

  #takeLines(data: Buffer, position: number): void {
    let start = 0;
    for (let end = data.indexOf(newline); end !== -1; end = data.indexOf(newline, start)) {
      this.#position = position + end + 1;
      this.#reader.receive(data.subarray(start, end + 1));
      start = end + 1;
    }
    if (start < data.length) this.#reader.receive(data.subarray(start));
  }
}
