import type { Sink } from "../sink.ts";

/**
 * What is written for a person, piece by piece: it knows whether a line has begun, and holds everything back while somebody else has the
 * terminal (an editor, a line that is typed). What is held is bounded by what the agent says meanwhile; it waits for an answer then.
 */
export class Screen {
  readonly #out: Sink;
  #begun = false;
  #held: string[] | undefined;
  #written = 0;

  constructor(out: Sink) {
    this.#out = out;
  }

  get columns(): number | undefined {
    return this.#out.columns;
  }

  /** Grows with everything that is given to it: who finds it unchanged knows that nothing stands below. */
  get written(): number {
    return this.#written;
  }

  /** Answers whether there is room for more. */
  write(text: string): boolean {
    if (text === "") return true;
    this.#written += 1;
    if (this.#held !== undefined) {
      this.#held.push(text);
      return true;
    }
    this.#begun = !text.endsWith("\n");
    return this.#out.write(text);
  }

  /** On a line of its own. */
  line(text: string): boolean {
    this.breakLine();
    return this.write(`${text}\n`);
  }

  /** What comes next begins a line. */
  breakLine(): void {
    if (this.#isBegun()) this.write("\n");
  }

  /** What was typed, and echoed, has ended the line. */
  lineEnded(): void {
    this.#begun = false;
  }

  hold(): void {
    this.#held ??= [];
  }

  release(): void {
    const held = this.#held ?? [];
    this.#held = undefined;
    this.write(held.join(""));
  }

  drained(signal: AbortSignal): Promise<void> {
    return this.#out.drained(signal);
  }

  #isBegun(): boolean {
    const last = this.#held?.at(-1);
    return last === undefined ? this.#begun : !last.endsWith("\n");
  }
}
