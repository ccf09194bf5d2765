import type { Keyboard } from "../ports.ts";

const ctrlC = 0x03;
const escape = 0x1b;

/**
 * Single keys of a terminal, without waiting for the end of a line. Suspended, the terminal is as it was and may be somebody else's: a
 * line editor's, another program's. So it is too when this is disposed.
 */
export class Keys implements Disposable {
  readonly #keyboard: Keyboard;
  readonly #onData: (data: Buffer) => void;
  #listens = false;

  /** What comes at once is no single key: a paste, an arrow key, or what was typed faster than the line took it. It is `onOther`. */
  constructor(keyboard: Keyboard, onKey: (key: string) => void, onOther: () => void = () => {}) {
    this.#keyboard = keyboard;
    this.#onData = (data) => {
      if (data.length === 1) {
        onKey(data.toString("latin1"));
        return;
      }
      if (data.some((byte) => byte !== ctrlC)) onOther();
      // An interrupt counts among other keys too; in a sequence of the terminal, or what is pasted between two, the byte is none.
      if (!data.includes(escape)) for (const byte of data) if (byte === ctrlC) onKey("\u0003");
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
