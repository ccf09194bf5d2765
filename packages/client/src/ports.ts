import type { Clock } from "@hl/core/clock.ts";
import type { Readable, Writable } from "node:stream";

/** Everything of the outside world that hl-client touches, so that a command can be run and watched inside a test. */
export interface Ports {
  /** Without the program's name. */
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  /** Where the program was started from; tells whether this is a checkout. */
  readonly programFile: string;
  readonly stdout: Terminal;
  readonly stderr: Terminal;
  /** Called only where standard input is asked for: it is not touched otherwise. */
  readonly stdin: () => Keyboard;
  /** Makes the terminal of standard input show what is written as it is. */
  readonly unprocessedOutput: () => void;
  /** Runs the command of an editor with a file, at our terminal; resolves with its exit code. Rejects where it cannot be started. */
  readonly runEditor: (command: string, file: string) => Promise<number>;
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly uuid: () => string;
  /** Listens for SIGINT, SIGTERM and SIGHUP; the returned function stops. */
  readonly signals: (listener: (signal: EndingSignal) => void) => () => void;
}

/** A terminal's emits `resize`. */
export type Terminal = Writable & {
  readonly isTTY?: boolean | undefined;
  readonly rows?: number | undefined;
  readonly columns?: number | undefined;
};

/** Standard input; only a terminal's has modes. */
export type Keyboard = Readable & {
  readonly isTTY?: boolean | undefined;
  readonly setRawMode?: ((raw: boolean) => unknown) | undefined;
};

export type EndingSignal = "SIGINT" | "SIGTERM" | "SIGHUP";
