/**
 * A wall clock of the daemon's own that can jump, by libfaketime (`apt-get install libfaketime`). Its monotonic clock is left alone.
 */
import { existsSync, globSync, writeFileSync } from "node:fs";

export class WallClock {
  readonly #library: string;
  readonly #file: string;

  constructor(library: string, file: string) {
    this.#library = library;
    this.#file = file;
    this.step(0);
  }

  /** For the daemon to be started with. */
  get env(): Readonly<Record<string, string>> {
    return {
      LD_PRELOAD: this.#library,
      FAKETIME_TIMESTAMP_FILE: this.#file,
      FAKETIME_CACHE_DURATION: "1",
      FAKETIME_DONT_FAKE_MONOTONIC: "1",
    };
  }

  /** So many seconds away from the real one. */
  step(seconds: number): void {
    writeFileSync(this.#file, `${seconds < 0 ? "" : "+"}${seconds}\n`);
  }
}

/** Undefined where it is not installed. HL_TEST_FAKETIME names one in another place. */
export function findFaketime(): string | undefined {
  const named = process.env["HL_TEST_FAKETIME"];
  if (named !== undefined && existsSync(named)) return named;
  return globSync("/usr/lib{,/*}/faketime/libfaketime.so.1").at(0);
}
