const tilde = 0x7e;
const dot = 0x2e;
const lineEnds = new Set([0x0d, 0x0a]);

/**
 * The keys that mean us and not the program, as ssh has them: at the beginning of a line `~.` leaves, `~~` is one `~`. Everything
 * else goes through byte for byte; only a `~` there is held until the next key.
 * States: in a line → at its beginning → after the tilde.
 */
export class EscapeKeys {
  readonly #leave: () => void;
  #state: "in line" | "at beginning" | "after tilde" = "at beginning";

  constructor(leave: () => void) {
    this.#leave = leave;
  }

  /** Answers what of the typed bytes is the program's. */
  take(typed: Buffer): Buffer {
    const kept: number[] = [];
    for (const key of typed) {
      if (this.#state === "at beginning" && key === tilde) {
        this.#state = "after tilde";
        continue;
      }
      if (this.#state === "after tilde" && key === dot) {
        this.#state = "at beginning";
        this.#leave();
        continue;
      }
      if (this.#state === "after tilde" && key !== tilde) kept.push(tilde);
      kept.push(key);
      this.#state = lineEnds.has(key) ? "at beginning" : "in line";
    }
    return Buffer.from(kept);
  }
}
