/**
 * Shares the event loop among all who read logs: in one turn of the loop they take so many bytes together, then everything else that is
 * ready (health, cancel, input) goes first. Whoever waits is served in order, so a flood takes no more turns than its neighbour (P5).
 * One event loop, therefore one of these: `readTurns`.
 */
export class ReadTurns {
  readonly #turnBytesMax: number;
  #takenBytes = 0;
  /** Somebody has the turn and has not read yet. */
  #given = false;
  #waiting: (() => void)[] = [];
  #turnEnds = false;

  constructor(turnBytesMax: number) {
    this.#turnBytesMax = turnBytesMax;
  }

  /** Resolves when it is the caller's turn; it reads at once and then calls `took`. */
  async next(): Promise<void> {
    if (!this.#given && this.#takenBytes < this.#turnBytesMax && this.#waiting.length === 0) {
      this.#given = true;
      this.#endTurnLater();
      return;
    }
    await new Promise<void>((resolve) => {
      this.#waiting.push(resolve);
      this.#endTurnLater();
    });
  }

  /** What reading, and the work that follows on it at once, has cost. */
  took(bytes: number): void {
    this.#takenBytes += bytes;
    this.#given = false;
    if (this.#takenBytes < this.#turnBytesMax) this.#give();
  }

  #give(): void {
    const next = this.#waiting.shift();
    if (next === undefined) return;
    this.#given = true;
    next();
  }

  #endTurnLater(): void {
    if (this.#turnEnds) return;
    this.#turnEnds = true;
    setImmediate(() => {
      this.#turnEnds = false;
      this.#takenBytes = 0;
      this.#given = false; // Who failed to read does not keep it.
      this.#give();
      if (this.#waiting.length > 0) this.#endTurnLater();
    });
  }
}

/** About a millisecond of reading, encoding and writing. */
export const readTurns = new ReadTurns(256 * 1024);
