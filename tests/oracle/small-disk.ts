/**
 * A disk that can be full: a small file system in memory, mounted over a folder. Needs the right to mount.
 */
import { execFileSync } from "node:child_process";
import { closeSync, mkdirSync, openSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";

export const diskMib = 256;
/** Enough for a run's commands, and few enough to be taken in no time. */
const inodesMax = 16_384;

export class SmallDisk implements Disposable {
  readonly #folder: string;
  readonly #filler: string;
  readonly #inodes: string;
  #mounted = true;
  readonly #onExit = (): void => this[Symbol.dispose]();

  private constructor(folder: string) {
    this.#folder = folder;
    this.#filler = join(folder, "filler");
    this.#inodes = join(folder, "inodes");
    process.on("exit", this.#onExit); // A test that fails in the wrong place leaves no mount behind.
  }

  /** Throws where mounting is not permitted. */
  static mount(folder: string): SmallDisk {
    mkdirSync(folder, { recursive: true, mode: 0o750 });
    const options = `size=${diskMib}m,nr_inodes=${inodesMax},mode=0750`;
    execFileSync("mount", ["-t", "tmpfs", "-o", options, "hl-oracle", folder], { stdio: "pipe" });
    return new SmallDisk(folder);
  }

  /** Takes every byte that is left. */
  fill(): void {
    const file = openSync(this.#filler, "w");
    try {
      // The last bytes too: what is left behind a block of one size takes a smaller one.
      for (const bytes of [1024 * 1024, 4096, 1]) writeUntilFull(file, Buffer.alloc(bytes));
    } finally {
      closeSync(file);
    }
  }

  free(): void {
    rmSync(this.#filler, { force: true });
  }

  /** Takes every inode that is left: empty files. */
  takeInodes(): void {
    mkdirSync(this.#inodes, { recursive: true });
    for (let number = 0; ; number += 1) {
      try {
        closeSync(openSync(join(this.#inodes, String(number)), "w"));
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === "ENOSPC") return;
        throw error;
      }
    }
  }

  freeInodes(): void {
    rmSync(this.#inodes, { recursive: true, force: true });
  }

  /** Works only while nobody has a file open for writing. */
  remount(how: "ro" | "rw"): void {
    execFileSync("mount", ["-o", `remount,${how}`, this.#folder], { stdio: "pipe" });
  }

  [Symbol.dispose](): void {
    if (!this.#mounted) return;
    this.#mounted = false;
    process.off("exit", this.#onExit);
    execFileSync("umount", ["--lazy", this.#folder], { stdio: "pipe" });
  }
}

/** Why there can be no small disk here; undefined where there can. */
export function whyNoSmallDisk(folder: string): string | undefined {
  try {
    using _ = SmallDisk.mount(folder);
    return undefined;
  } catch (error) {
    return `no file system can be mounted (${String(error).split("\n").at(-2) ?? String(error)})`;
  }
}

function writeUntilFull(file: number, block: Buffer): void {
  for (;;) {
    try {
      writeSync(file, block);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOSPC") return;
      throw error;
    }
  }
}
