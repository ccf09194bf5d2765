/**
 * A disk that fails below a folder, without a driver for it: a library in front of the C library (failing-disk.c), through which Node's
 * own files and its SQLite go. It needs a C compiler and no right of any kind. hl-runner, a static program, does not see it.
 */
import { spawnSync } from "node:child_process";
import { closeSync, ftruncateSync, openSync, readSync, realpathSync, writeSync } from "node:fs";
import { constants } from "node:os";
import { join } from "node:path";

type Failure = "EIO" | "EROFS" | "ENOSPC";

/** With what which calls fail; what is left out works. */
export interface DiskFailures {
  /** Bytes into a file, and its length. */
  readonly write?: Failure;
  /** fsync and fdatasync. What they did not sync is then written for nobody. */
  readonly sync?: Failure;
  /** Opening for writing, making, renaming and removing. */
  readonly change?: Failure;
}

/** As native code of ours is compiled: native/hl-runner/Makefile. */
const flags =
  "-std=gnu11 -D_GNU_SOURCE -O2 -Wall -Wextra -Werror -Wshadow -Wconversion -Wformat=2 -Wundef -Wpointer-arith";
const strict = "-Wstrict-prototypes -Wmissing-prototypes -Wvla";

/** The page that failing-disk.c maps. */
const failedAt = 12;
const folderAt = 16;
const folderBytesMax = 4096;

export class FailingDisk implements Disposable {
  readonly #control: number;
  /** For the program to be started with. */
  readonly env: Readonly<Record<"LD_PRELOAD" | "HL_FAILING_CONTROL", string>>;

  private constructor(control: number, env: FailingDisk["env"]) {
    this.#control = control;
    this.env = env;
  }

  /**
   * Answers why there is none where it cannot be compiled.
   * @param scratch a folder for the library
   */
  static build(scratch: string): FailingDisk | string {
    const library = join(scratch, "failing-disk.so");
    const source = join(import.meta.dirname, "failing-disk.c");
    const args = [...flags.split(" "), ...strict.split(" "), "-shared", "-fPIC", source, "-o", library, "-ldl"];
    const compiled = spawnSync(process.env["CC"] ?? "cc", args, { encoding: "utf8" });
    if (compiled.error !== undefined) return `no C compiler: ${compiled.error.message}`;
    if (compiled.status !== 0) throw new Error(`failing-disk.c cannot be compiled: ${compiled.stderr}`);
    const control = join(scratch, "failing-disk.control");
    const descriptor = openSync(control, "w+");
    ftruncateSync(descriptor, folderAt + folderBytesMax);
    return new FailingDisk(descriptor, { LD_PRELOAD: library, HL_FAILING_CONTROL: control });
  }

  /** Calls that have failed since the beginning. */
  get failed(): number {
    const bytes = Buffer.alloc(4);
    readSync(this.#control, bytes, 0, 4, failedAt);
    return bytes.readUInt32LE(0);
  }

  /** Whose files fail; nothing fails before this is said. */
  below(folder: string): void {
    writeSync(this.#control, `${realpathSync(folder)}\0`, folderAt);
  }

  set({ write, sync, change }: DiskFailures): void {
    const bytes = Buffer.alloc(failedAt);
    const codes = [write, sync, change].map((name) => (name === undefined ? 0 : constants.errno[name]));
    for (const [index, code] of codes.entries()) bytes.writeUInt32LE(code, index * 4);
    writeSync(this.#control, bytes, 0, failedAt, 0);
  }

  [Symbol.dispose](): void {
    closeSync(this.#control);
  }
}
