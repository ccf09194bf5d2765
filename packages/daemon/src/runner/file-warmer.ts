import { read as readCallback } from "node:fs";
import { promisify } from "node:util";

/**
 * Sees to it that what a cursor reads lies in memory, because the event loop reads it and must not wait for a disk. What was written
 * since the cursor began does; what is older is read once on another thread, only for that, and thrown away.
 */
export class FileWarmer {
  #freshFrom: number | undefined;
  #warmUntil = 0;

  /** The cursor goes on in another file. */
  enter(): void {
    this.#warmUntil = 0;
  }

  /** @param position of the byte at `fileOffset`, on the same axis as `publishedPosition` */
  async warm(file: number, fileOffset: number, position: number, publishedPosition: number): Promise<void> {
    this.#freshFrom ??= publishedPosition;
    const behind = publishedPosition - position;
    if (behind <= littleBytesMax || fileOffset < this.#warmUntil) return;
    if (position >= this.#freshFrom && behind <= freshBytesMax) return;
    const before = warming;
    const mine = Promise.withResolvers<undefined>();
    warming = mine.promise;
    await before;
    try {
      scratch ??= Buffer.allocUnsafeSlow(warmBytes);
      await readOnThreadPool(file, scratch, 0, warmBytes, fileOffset);
      this.#warmUntil = fileOffset + warmBytes;
    } finally {
      mine.resolve(undefined);
    }
  }
}

const readOnThreadPool = promisify(readCallback);
/** So little is read faster than another thread is woken, which is most of what the reply of a short command would wait for. */
const littleBytesMax = 16 * 1024;
/** Older pages may have been given up already. */
const freshBytesMax = 8 * 1024 * 1024;
const warmBytes = 1024 * 1024;
/** Nobody looks into it, so all may share it. */
let scratch: Buffer | undefined;
/** One at a time: of the few threads the others stay free for the fsync that each command and event waits for. */
let warming: Promise<unknown> = Promise.resolve();
