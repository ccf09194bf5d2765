import type { Keyboard } from "../ports.ts";

/** Single keys of a terminal, without waiting for the end of a line. Disposing gives the terminal back as it was. */
export class Keys implements Disposable {
  readonly #keyboard: Keyboard;
  readonly #onData: (data: Buffer) => void;

  constructor(keyboard: Keyboard, onKey: (key: string) => void) {
    this.#keyboard = keyboard;
    this.#onData = (data) => {
      // A paste, or an arrow key, is not an answer to a question.
      if (data.length === 1) onKey(data.toString("latin1"));
    };
    keyboard.setRawMode?.(true);
    keyboard.on("data", this.#onData);
  }

  [Symbol.dispose](): void {
    this.#keyboard.off("data", this.#onData);
    this.#keyboard.pause();
    if (!this.#keyboard.destroyed) this.#keyboard.setRawMode?.(false);
  }
}
