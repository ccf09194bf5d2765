import { createReadStream, createWriteStream, readdirSync, renameSync, rmSync, statSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { pipeline } from "node:stream/promises";
import { createGzip } from "node:zlib";

export type Frequency = "hourly" | "daily" | "weekly";

export interface RotationOptions {
  readonly path: string;
  /** Rotated files that are kept. */
  readonly filesMax: number;
  readonly retentionDays: number;
  readonly compress: boolean;
  readonly mode: number;
  readonly wallMs: () => number;
}

export interface RotatedFile {
  readonly path: string;
  /** The higher, the newer: the wall clock orders nothing. */
  readonly number: number;
  readonly isPacked: boolean;
}

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
/** 1970 began on a Thursday; weeks begin on Mondays. */
const daysToMonday = 3;

/** The number of the hour, day or week (UTC) that a moment lies in. */
export function periodOf(frequency: Frequency, wallMs: number): number {
  if (frequency === "hourly") return Math.floor(wallMs / hourMs);
  const day = Math.floor(wallMs / dayMs);
  return frequency === "daily" ? day : Math.floor((day + daysToMonday) / 7);
}

/**
 * The rotated files of a log, `NAME.NUMBER` and packed `NAME.NUMBER.gz`. Packing goes on beside everything else; one that a crash has
 * interrupted is made again. What fails leaves the file as it was, for the next rotation.
 */
export class Rotation {
  readonly #options: RotationOptions;
  #packing: Promise<void> = Promise.resolve();
  #isClosed = false;

  constructor(options: RotationOptions) {
    this.#options = options;
  }

  /** Puts the file aside. Throws what the file system throws. */
  rotate(): void {
    const { path, filesMax } = this.#options;
    const number = Math.max(0, ...this.#files().map((file) => file.number)) + 1;
    if (filesMax === 0) rmSync(path, { force: true });
    else renameSync(path, `${path}.${number}`);
    this.tidy();
  }

  /** Removes what is too old or too much, and packs what is not packed yet. */
  tidy(): void {
    const { filesMax, retentionDays, wallMs, path } = this.#options;
    const oldest = wallMs() - retentionDays * dayMs;
    const files = this.#files().sort((one, other) => other.number - one.number);
    for (const [index, file] of files.entries()) {
      if (index >= filesMax || changedMs(file.path) < oldest) quietly(() => rmSync(file.path, { force: true }));
    }
    for (const half of this.#names(/^\.\d+\.gz\.tmp$/)) quietly(() => rmSync(join(dirname(path), half)));
    if (this.#options.compress) this.#packing = this.#packing.then(() => this.#packAll());
  }

  /** Resolves when what is being packed is. */
  settled(): Promise<void> {
    return this.#packing;
  }

  close(): Promise<void> {
    this.#isClosed = true;
    return this.#packing;
  }

  async #packAll(): Promise<void> {
    for (const { path, isPacked } of this.#files()) {
      if (isPacked || this.#isClosed) continue;
      const temporary = `${path}.gz.tmp`;
      try {
        const { mode } = this.#options;
        await pipeline(createReadStream(path), createGzip(), createWriteStream(temporary, { mode }));
        renameSync(temporary, `${path}.gz`);
        rmSync(path);
      } catch {
        quietly(() => rmSync(temporary, { force: true })); // The disk is full, or somebody else took it away.
      }
    }
  }

  #files(): RotatedFile[] {
    return rotatedFiles(this.#options.path);
  }

  #names(rest: RegExp): string[] {
    return namesBehind(this.#options.path, rest);
  }
}

/** Of the log with this path, in no order. */
export function rotatedFiles(path: string): RotatedFile[] {
  return namesBehind(path, /^\.\d+(\.gz)?$/).map((name) => ({
    path: join(dirname(path), name),
    number: Number(name.slice(basename(path).length + 1).replace(".gz", "")),
    isPacked: name.endsWith(".gz"),
  }));
}

function namesBehind(path: string, rest: RegExp): string[] {
  const name = basename(path);
  try {
    return readdirSync(dirname(path)).filter((one) => one.startsWith(name) && rest.test(one.slice(name.length)));
  } catch {
    return [];
  }
}

function changedMs(path: string): number {
  try {
    return statSync(path).mtimeMs;
  } catch {
    return Infinity;
  }
}

function quietly(work: () => void): void {
  try {
    work();
  } catch {
    // The next rotation tries again.
  }
}
