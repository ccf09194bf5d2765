import type { Keyboard } from "../ports.ts";

const ctrlC = 0x03;

/**
 * Single keys of a terminal, without waiting for the end of a line. Suspended, the terminal is as it was and may be somebody else's: a
 * line editor's, another program's. So it is too when this is disposed.
 */
export class Keys implements Disposable {
  readonly #keyboard: Keyboard;
  readonly #onData: (data: Buffer) => void;
  #listens = false;

  constructor(keyboard: Keyboard, onKey: (key: string) => void) {
    this.#keyboard = keyboard;
    this.#onData = (data) => {
      // A paste, or an arrow key, is not an answer to a question. Ctrl-C pressed twice may come at once.
      if (data.length === 1 || data.every((byte) => byte === ctrlC))
        for (const key of data.toString("latin1")) onKey(key);
    };
    this.resume();
  }

  resume(): void {
    if (this.#listens) return;
    this.#listens = true;
    this.#keyboard.setRawMode?.(true);
    this.#keyboard.on("data", this.#onData);
    this.#keyboard.resume();
  }

  suspend(): void {
    if (!this.#listens) return;
    this.#listens = false;
    this.#keyboard.off("data", this.#onData);
    this.#keyboard.pause();
    if (!this.#keyboard.destroyed) this.#keyboard.setRawMode?.(false);
  }

  [Symbol.dispose](): void {
    this.suspend();
  }
}
