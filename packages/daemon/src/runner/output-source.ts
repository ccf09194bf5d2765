import { LogCursor, type LogAxis } from "./log-cursor.ts";
import type { OutputMark } from "./records.ts";

/** A log that can be read: of a run that lives, or of one of which only the folder and the record are left. */
export interface OutputSource {
  /** What may be read from the log; bytes that were lost count too. */
  readonly output: OutputMark;
  /** Nothing is added any more, except by what the main process has left behind. */
  readonly isComplete: boolean;
  cursor(from: number, axis?: LogAxis): LogCursor;
  /** Calls back after every growth of the log and at the end; the returned function stops that. */
  onOutput(listener: () => void): () => void;
}

/** The log of a run that is over; `output` is what its record says. */
export function finishedOutput(directory: string, output: OutputMark): OutputSource {
  return {
    output,
    isComplete: true,
    cursor: (from, axis) => new LogCursor(directory, from, axis),
    onOutput: () => () => {},
  };
}
