/**
 * A file of lines that is rotated by size and by time. Nobody waits for it and nothing that happens to it is thrown (S4): lines go out in
 * batches, what cannot be written waits in bounded memory and is tried again, and what finds no room there is counted and told behind it (S2).
 *
 * States: idle → writing (one batch is on its way) → idle, or failing (a timer tries again) → writing; closed from any of them.
 */
import { closeSync, fchmodSync, fstatSync, mkdirSync, openSync, statSync, write, writeSync } from "node:fs";
import { dirname } from "node:path";
import { systemClock, type Clock } from "@hl/core/clock.ts";
import { errorText } from "@hl/core/logger.ts";
import { periodOf, Rotation, type Frequency, type RotationOptions } from "./rotation.ts";

export interface LineSink {
  /** A line with its end. */
  write(line: string): void;
  /** Writes at once what waits: for a process that is about to end. */
  flushSync(): void;
  close(): void;
}

/** A log file that others may read while it is written. */
export interface FollowedLog {
  readonly path: string;
  /**
   * Has `begin` called at once or as soon as nothing waits: what came before is in the file then. From then on `onLine` gets each line,
   * until what `begin` gets as its argument is called.
   */
  follow(onLine: (line: string) => void, begin: (stop: () => void) => void): void;
}

export interface RotatingFileOptions extends Omit<RotationOptions, "wallMs"> {
  readonly clock: Clock;
  /** A file that would be larger is rotated first; a single line may be. */
  readonly bytesMax: number;
  /** Undefined where time rotates nothing. */
  readonly frequency: Frequency | undefined;
  /** The line, without its end, that stands for so many that are missing. */
  readonly lostLine: (count: number, reason: string) => string;
  /** What may wait while the file takes nothing. */
  readonly waitingBytesMax?: number | undefined;
}

const waitingBytesDefault = 1024 * 1024;
const batchBytesMax = 256 * 1024;
/** A line waits so long for others, and whoever caused it is answered meanwhile. By the real clock: nothing else hangs on it. */
const gatherMs = 5;
const retryMs = 1_000;
/** So often, at most, it is looked whether somebody has moved the file away (logrotate). */
const lookMs = 1_000;

export class RotatingFile implements LineSink, FollowedLog {
  readonly #listeners = new Set<(line: string) => void>();
  /** Called when nothing waits. */
  #onIdle: (() => void)[] = [];
  readonly #options: RotatingFileOptions;
  readonly #rotation: Rotation;
  #waiting: Buffer[] = [];
  #waitingBytes = 0;
  /** On its way; the first of it may be written already. */
  #batch: Buffer | undefined;
  #file: number | undefined;
  #size = 0;
  #period = 0;
  #lookedAt = -Infinity;
  #lost = 0;
  #trouble: string | undefined;
  #cancelRetry: (() => void) | undefined;
  #isScheduled = false;
  #isTidied = false;
  #isClosed = false;

  constructor(options: RotatingFileOptions) {
    this.#options = options;
    this.#rotation = new Rotation({ ...options, wallMs: () => options.clock.wallMs() });
  }

  /** Why lines wait or are lost at present. */
  get trouble(): string | undefined {
    return this.#trouble;
  }

  get path(): string {
    return this.#options.path;
  }

  follow(onLine: (line: string) => void, begin: (stop: () => void) => void): void {
    this.#onIdle.push(() => {
      this.#listeners.add(onLine);
      begin(() => this.#listeners.delete(onLine));
    });
    const isIdle = this.#batch === undefined && this.#waiting.length === 0;
    if (isIdle || this.#trouble !== undefined || this.#isClosed) this.#idle();
  }

  write(line: string): void {
    if (this.#isClosed) return;
    const bytes = Buffer.from(line);
    if (this.#waitingBytes + bytes.length > (this.#options.waitingBytesMax ?? waitingBytesDefault)) {
      this.#lost += 1;
      return;
    }
    this.#push(bytes);
    if (this.#batch !== undefined || this.#isScheduled || this.#cancelRetry !== undefined) return;
    this.#isScheduled = true;
    systemClock.after(gatherMs, () => {
      this.#isScheduled = false;
      this.#next();
    });
  }

  flushSync(): void {
    try {
      const written = this.#batch === undefined ? 0 : Math.max(0, fstatSync(this.#opened()).size - this.#size);
      const rest = [...(this.#batch === undefined ? [] : [this.#batch.subarray(written)]), ...this.#waiting];
      this.#waiting = [];
      this.#waitingBytes = 0;
      let bytes = Buffer.concat(rest);
      while (bytes.length > 0) bytes = bytes.subarray(writeSync(this.#opened(), bytes));
    } catch {
      // There is nowhere left to say so.
    }
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#cancelRetry?.();
    void this.#rotation.close();
    if (this.#batch === undefined) this.#finish(); // Else behind what is on its way.
  }

  /** Resolves when rotated files are packed; for tests. */
  settled(): Promise<void> {
    return this.#rotation.settled();
  }

  #finish(): void {
    this.flushSync();
    this.#closeFile();
  }

  #push(bytes: Buffer): void {
    this.#waiting.push(bytes);
    this.#waitingBytes += bytes.length;
    if (this.#listeners.size === 0) return;
    const line = bytes.toString().trimEnd();
    for (const listener of this.#listeners) listener(line);
  }

  /** Also where nothing can be written: who asks then is told of what comes, and what waits is in the file later. */
  #idle(): void {
    const begin = this.#onIdle;
    this.#onIdle = [];
    for (const one of begin) one();
  }

  #next(): void {
    if (this.#isClosed || this.#batch !== undefined) return;
    if (this.#waiting.length === 0) {
      this.#idle();
      return;
    }
    try {
      const batch = this.#take();
      this.#batch = batch;
      this.#makeReady(batch.length);
      write(this.#opened(), batch, (error, written) => this.#written(error, written));
    } catch (error) {
      this.#failed(error);
    }
  }

  /** Whole lines, so that a rotation tears none. */
  #take(): Buffer {
    const { bytesMax } = this.#options;
    const most = Math.max(1, Math.min(batchBytesMax, bytesMax - this.#size > 0 ? bytesMax - this.#size : bytesMax));
    let count = 1;
    let bytes = this.#waiting[0]?.length ?? 0;
    while (count < this.#waiting.length && bytes + (this.#waiting[count]?.length ?? 0) <= most)
      bytes += this.#waiting[count++]?.length ?? 0;
    const taken = this.#waiting.splice(0, count);
    this.#waitingBytes -= bytes;
    return taken.length === 1 && taken[0] !== undefined ? taken[0] : Buffer.concat(taken);
  }

  #written(error: Error | null, written: number): void {
    const batch = this.#batch;
    this.#batch = undefined;
    this.#size += written;
    const rest = batch?.subarray(written);
    if (this.#isClosed) {
      if (rest !== undefined) this.#waiting.unshift(rest);
      this.#finish();
      return;
    }
    if (error !== null || written === 0) {
      this.#batch = rest;
      this.#failed(error ?? new Error("nothing was written"));
      return;
    }
    if (rest !== undefined && rest.length > 0) {
      this.#waiting.unshift(rest);
      this.#waitingBytes += rest.length;
    } else this.#well();
    this.#next();
  }

  #well(): void {
    const reason = this.#trouble ?? "more came than could be written";
    this.#trouble = undefined;
    if (this.#lost === 0) return;
    this.#push(Buffer.from(`${this.#options.lostLine(this.#lost, reason)}\n`));
    this.#lost = 0;
  }

  #failed(error: unknown): void {
    const batch = this.#batch;
    this.#batch = undefined;
    if (batch !== undefined) {
      this.#waiting.unshift(batch);
      this.#waitingBytes += batch.length;
    }
    this.#trouble = errorText(error);
    this.#idle();
    this.#closeFile(); // It may be another disk by then.
    this.#cancelRetry = this.#options.clock.after(retryMs, () => {
      this.#cancelRetry = undefined;
      this.#next();
    });
  }

  /** Opens, opens again what was moved away, and rotates. */
  #makeReady(bytes: number): void {
    const { clock, frequency, bytesMax } = this.#options;
    const file = this.#opened();
    if (!this.#isTidied) this.#rotation.tidy(); // What a crash has left.
    this.#isTidied = true;
    if (clock.now() - this.#lookedAt >= lookMs) {
      this.#lookedAt = clock.now();
      if (isMoved(file, this.#options.path)) this.#closeFile();
      else this.#size = fstatSync(file).size; // Somebody may have emptied it.
    }
    this.#opened();
    const isLate = frequency !== undefined && periodOf(frequency, clock.wallMs()) > this.#period;
    if (this.#size === 0 || (!isLate && this.#size + bytes <= bytesMax)) {
      if (this.#size === 0) this.#period = this.#periodNow();
      return;
    }
    try {
      this.#rotation.rotate();
    } catch {
      return; // A file that is too large is better than none.
    }
    this.#closeFile();
    this.#opened();
  }

  #opened(): number {
    if (this.#file !== undefined) return this.#file;
    const { path, mode, frequency } = this.#options;
    mkdirSync(dirname(path), { recursive: true, mode: 0o750 });
    const file = openSync(path, "a", mode);
    this.#file = file;
    fchmodSync(file, mode); // Whatever made it before.
    const { size, mtimeMs } = fstatSync(file);
    this.#size = size;
    this.#period = size === 0 || frequency === undefined ? this.#periodNow() : periodOf(frequency, mtimeMs);
    return file;
  }

  #periodNow(): number {
    const { frequency, clock } = this.#options;
    return frequency === undefined ? 0 : periodOf(frequency, clock.wallMs());
  }

  #closeFile(): void {
    const file = this.#file;
    this.#file = undefined;
    if (file === undefined) return;
    try {
      closeSync(file);
    } catch {
      // What was written is where it is.
    }
  }
}

function isMoved(file: number, path: string): boolean {
  try {
    const [own, there] = [fstatSync(file), statSync(path)];
    return own.ino !== there.ino || own.dev !== there.dev;
  } catch {
    return true;
  }
}
