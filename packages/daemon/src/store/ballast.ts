import { randomBytes, randomFill } from "node:crypto";
import {
  closeSync,
  constants,
  fdatasyncSync,
  fstatSync,
  ftruncateSync,
  openSync,
  statfsSync,
  writeSync,
} from "node:fs";
import { open } from "node:fs/promises";
import { dirname } from "node:path";
import { promisify } from "node:util";
import { isNoSpace } from "@hl/core/store/sqlite-error.ts";

const fill = promisify<Buffer, Buffer>(randomFill);

const megabyte = 2 ** 20;
/** Enough for the events of a day on which only what is critical is taken; research: fleet-agents (d.2). */
export const ballastBytes = 8 * megabyte;
/** The last of it is for what makes room: acknowledging, deleting and moving the log into the database need some themselves. */
export const lastBytesMax = 2 * megabyte;
/** Of what is free it takes so much back. */
const takenShare = 3 / 4;
const roomShare = 0.05;
const roomBytesMax = 64 * megabyte;

const chunkBytes = 64 * 1024;
const lastChunk = randomBytes(chunkBytes);

/**
 * A file that takes up room until the disk is full, and is then emptied: SQLite cannot even delete rows without room for its log
 * (S4). Emptied, not removed, so that making it again needs no free inode.
 */
export class Ballast {
  readonly #path: string;
  readonly #bytes: number;
  #releases = 0;

  constructor(path: string, bytes = ballastBytes) {
    this.#path = path;
    this.#bytes = bytes;
  }

  /** Whether it takes up its room. */
  get isThere(): boolean {
    return this.#withFile((file) => fstatSync(file).size >= this.#bytes);
  }

  /**
   * Whether the disk has room again: a twentieth of it and 64 MiB, of a small one a quarter instead; so much that what has just filled
   * it does not at once do so again.
   */
  hasRoom(): boolean {
    const { bavail, bsize, blocks } = statfsSync(dirname(this.#path));
    const size = blocks * bsize;
    return bavail * bsize >= size * roomShare + Math.min(roomBytesMax, size / 4);
  }

  /** Whether a small write finds no room at this moment. A quota is seen by nothing else. */
  lacksRoom(): boolean {
    return this.#withFile((file) => {
      const { size } = fstatSync(file);
      try {
        writeSync(file, lastChunk, 0, chunkBytes, size);
        fdatasyncSync(file);
        return false;
      } catch (error) {
        return isNoSpace(error);
      } finally {
        ftruncateSync(file, size);
      }
    });
  }

  /** Rejects where there is no room for it, or none any more because it was released meanwhile; then it takes up what it took before. */
  async make(): Promise<void> {
    if (this.isThere) return;
    const releases = this.#releases;
    const file = await open(this.#path, constants.O_RDWR | constants.O_CREAT, 0o600);
    const { size: before } = await file.stat();
    const assertUnreleased = (): void => {
      if (this.#releases !== releases) throw new Error("the disk is full");
    };
    try {
      // Not zeros: a file system that compresses would keep no room for them.
      const chunk = await fill(Buffer.alloc(Math.min(this.#bytes, megabyte)));
      for (let at = 0; at < this.#bytes; at += chunk.length) {
        await file.write(chunk, 0, Math.min(chunk.length, this.#bytes - at), at);
        assertUnreleased();
      }
      await file.sync();
      assertUnreleased();
      if ((await file.stat()).size < this.#bytes) throw new Error("the disk is full");
    } catch (error) {
      await file.truncate(before);
      throw error;
    } finally {
      await file.close();
    }
  }

  /** Gives its room to what must be stored now, but for the last of it. */
  release(): void {
    this.#shrinkTo(lastBytesMax);
  }

  /** Gives also the last of it, to what makes room. */
  releaseAll(): void {
    this.#shrinkTo(0);
  }

  /** Takes the last of it back, or what of it is free, but for a part that the log needs. */
  takeLast(): void {
    const { bavail, bsize } = statfsSync(dirname(this.#path));
    const bytes = Math.min(lastBytesMax, Math.floor(bavail * bsize * takenShare));
    this.#withFile((file) => {
      for (let at = fstatSync(file).size; at < bytes; at += chunkBytes) writeSync(file, lastChunk, 0, chunkBytes, at);
    });
  }

  #shrinkTo(bytes: number): void {
    this.#releases += 1;
    this.#withFile((file) => {
      if (fstatSync(file).size > bytes) ftruncateSync(file, bytes);
    });
  }

  #withFile<T>(work: (file: number) => T): T {
    const file = openSync(this.#path, constants.O_RDWR | constants.O_CREAT, 0o600);
    try {
      return work(file);
    } finally {
      closeSync(file);
    }
  }
}
