import { constants } from "node:os";
import { exitCode } from "./exit-codes.ts";
import type { EndingSignal } from "./ports.ts";

/** A request to end that came from outside; no failure, so nothing is printed for it. */
export class Interrupted extends Error {
  override readonly name = "Interrupted";
  readonly exitCode: number;
  readonly signal: EndingSignal | undefined;

  private constructor(message: string, code: number, signal?: EndingSignal) {
    super(message);
    this.exitCode = code;
    this.signal = signal;
  }

  static bySignal(signal: EndingSignal): Interrupted {
    return new Interrupted(`ended by ${signal}`, exitCode.signalBase + constants.signals[signal], signal);
  }

  static byBrokenPipe(): Interrupted {
    return new Interrupted("nobody reads standard output any more", exitCode.brokenPipe);
  }
}

/**
 * States: running → asked (a command that wants to end in order was told) → aborted. Without such a command the first
 * interruption aborts; with one the second does. `signal` ends everything that waits.
 */
export class Interrupts {
  readonly #abort = new AbortController();
  #orderly: ((interruption: Interrupted) => void) | undefined;
  #first: Interrupted | undefined;

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  /** What decides the exit code: the first cause. */
  get first(): Interrupted | undefined {
    return this.#first;
  }

  raise(interruption: Interrupted): void {
    // A pipe that breaks while the command is being cancelled is a consequence, not a second request.
    if (this.#first !== undefined && interruption.exitCode === exitCode.brokenPipe) return;
    const orderly = this.#first === undefined ? this.#orderly : undefined;
    this.#first ??= interruption;
    if (orderly === undefined) this.#abort.abort(this.#first);
    else orderly(interruption);
  }

  /** Ends everything with a failure that is no request from outside. */
  fail(error: Error): void {
    this.#abort.abort(error);
  }

  /** The first interruption goes to `listener`, which ends in order; the next one aborts. */
  endInOrder(listener: (interruption: Interrupted) => void): void {
    this.#orderly = listener;
  }
}
