import { ClientFailure } from "./failure.ts";
import { Interrupted, type Interrupts } from "./interrupts.ts";
import type { Terminal } from "./ports.ts";

/**
 * Standard output or standard error. `write` never waits: it answers whether there is room, and `drained` waits for it.
 * States: open → broken (nobody reads, or the disk is full), after which everything written is thrown away.
 */
export class Sink {
  readonly #stream: Terminal;
  readonly #broken = new AbortController();
  /** While the terminal does not process what it is given: lines of ours then begin and end by themselves. */
  isRaw = false;

  constructor(stream: Terminal, interrupts: Interrupts | undefined) {
    this.#stream = stream;
    stream.on("error", (error: NodeJS.ErrnoException) => {
      if (this.#broken.signal.aborted) return;
      this.#broken.abort();
      if (error.code === "EPIPE") interrupts?.raise(Interrupted.byBrokenPipe());
      else interrupts?.fail(new ClientFailure("output_failed", `cannot write the output: ${error.message}`));
    });
  }

  get isTerminal(): boolean {
    return this.#stream.isTTY === true;
  }

  /** Undefined where the output is no terminal and lines may have any length. */
  get columns(): number | undefined {
    return this.isTerminal ? this.#stream.columns : undefined;
  }

  get full(): boolean {
    return !this.#broken.signal.aborted && this.#stream.writableNeedDrain;
  }

  write(data: string | Uint8Array): boolean {
    if (this.#broken.signal.aborted) return true;
    return this.#stream.write(data);
  }

  line(text: string): boolean {
    return this.write(this.isRaw && this.isTerminal ? `\r\n${text}\r\n` : `${text}\n`);
  }

  /** Resolves when there is room again, when nobody reads any more, or when the signal aborts. */
  async drained(signal: AbortSignal): Promise<void> {
    if (!this.full || signal.aborted) return;
    const { promise, resolve } = Promise.withResolvers<undefined>();
    const done = (): void => resolve(undefined);
    this.#stream.once("drain", done);
    this.#broken.signal.addEventListener("abort", done, { once: true });
    signal.addEventListener("abort", done, { once: true });
    await promise;
    this.#stream.off("drain", done);
    this.#broken.signal.removeEventListener("abort", done);
    signal.removeEventListener("abort", done);
  }
}
