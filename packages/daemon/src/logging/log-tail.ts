import { closeSync, createReadStream, fstatSync, openSync, read } from "node:fs";
import { open, type FileHandle } from "node:fs/promises";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { promisify } from "node:util";
import { createGunzip } from "node:zlib";
import { rotatedFiles, type RotatedFile } from "./rotation.ts";

/** A log as it is at one moment: what is written or rotated afterwards does not change what is read of it. */
export interface LogSnapshot extends Disposable {
  /** Undefined where there is no file yet. */
  readonly file: number | undefined;
  readonly bytes: number;
  /** Newest first. */
  readonly rotated: readonly RotatedFile[];
}

export interface Tail {
  /** Oldest first. */
  readonly lines: readonly string[];
  /** There would have been more, but for the limit of bytes. */
  readonly omitted: boolean;
}

const blockBytes = 64 * 1024;
const readBytes = promisify(read);

export function snapshotOf(path: string): LogSnapshot {
  const rotated = rotatedFiles(path).sort((one, other) => other.number - one.number);
  try {
    const file = openSync(path, "r");
    return { file, bytes: fstatSync(file).size, rotated, [Symbol.dispose]: () => closeSync(file) };
  } catch {
    return { file: undefined, bytes: 0, rotated, [Symbol.dispose]: () => {} };
  }
}

/** The newest lines of the file and, where it has too few, of rotated ones. */
export async function tailOf(snapshot: LogSnapshot, linesMax: number, bytesMax: number): Promise<Tail> {
  const newest = new NewestLines(linesMax, bytesMax);
  const { file, bytes } = snapshot;
  if (file !== undefined && !newest.isFull) {
    const end = await endOf(file, bytes, newest.linesLeft, bytesMax);
    newest.addOlder(end.lines);
    newest.omitted ||= end.isCut && !newest.isFull;
  }
  for (const rotated of snapshot.rotated) {
    if (newest.isFull) break;
    newest.addOlder(await linesOf(rotated, newest.linesLeft));
  }
  return { lines: newest.lines, omitted: newest.omitted };
}

class NewestLines {
  #lines: string[] = [];
  #bytes = 0;
  omitted = false;
  readonly #linesMax: number;
  readonly #bytesMax: number;

  constructor(linesMax: number, bytesMax: number) {
    this.#linesMax = linesMax;
    this.#bytesMax = bytesMax;
  }

  get lines(): readonly string[] {
    return this.#lines.toReversed();
  }

  get linesLeft(): number {
    return this.#linesMax - this.#lines.length;
  }

  get isFull(): boolean {
    return this.omitted || this.linesLeft <= 0;
  }

  addOlder(lines: readonly string[]): void {
    for (const line of lines.toReversed()) {
      if (this.linesLeft <= 0) return;
      this.#bytes += Buffer.byteLength(line) + 1;
      if (this.#bytes > this.#bytesMax) this.omitted = true;
      if (this.omitted) return;
      this.#lines.push(line);
    }
  }
}

interface End {
  readonly lines: readonly string[];
  /** There is more before them. */
  readonly isCut: boolean;
}

/** From the end on, a block at a time, until there are enough lines or bytes; the first may be the rest of one then. */
async function endOf(file: number, size: number, lines: number, bytesMax: number): Promise<End> {
  const blocks: Buffer[] = [];
  let from = size;
  let ends = 0;
  while (from > 0 && ends <= lines && size - from <= bytesMax + blockBytes) {
    const length = Math.min(blockBytes, from);
    from -= length;
    const block = Buffer.alloc(length);
    await readBytes(file, block, 0, length, from);
    for (const byte of block) if (byte === newline) ends += 1;
    blocks.unshift(block);
  }
  const all = Buffer.concat(blocks).toString().split("\n");
  if (all.at(-1) === "") all.pop();
  if (from > 0) all.shift();
  return { lines: all, isCut: from > 0 };
}

const newline = 0x0a;

/** A rotated file is read whole: packed it can be read from its beginning only. */
async function linesOf(rotated: RotatedFile, linesMax: number): Promise<string[]> {
  await using opened = await openRotated(rotated);
  if (opened === undefined) return [];
  const bytes = createReadStream("", { fd: opened.handle, autoClose: false });
  const text: Readable = opened.isPacked ? bytes.pipe(createGunzip()) : bytes;
  bytes.on("error", (error) => text.destroy(error));
  let newest: string[] = [];
  try {
    for await (const line of createInterface({ input: text, crlfDelay: Infinity })) {
      newest.push(line);
      if (newest.length >= 2 * linesMax) newest = newest.slice(-linesMax);
    }
  } catch {
    // One that a crash has left half: what could be read of it.
  }
  return newest.slice(-linesMax);
}

interface OpenRotated extends AsyncDisposable {
  readonly handle: FileHandle;
  readonly isPacked: boolean;
}

/** It may have been packed since, or be gone. */
async function openRotated({ path, isPacked }: RotatedFile): Promise<OpenRotated | undefined> {
  for (const [name, packed] of [[path, isPacked] as const, [`${path}.gz`, true] as const]) {
    try {
      const handle = await open(name, "r");
      return { handle, isPacked: packed, [Symbol.asyncDispose]: () => handle.close() };
    } catch {
      // The other name, then.
    }
  }
  return undefined;
}
