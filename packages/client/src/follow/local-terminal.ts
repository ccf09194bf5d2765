import type { Keyboard, Terminal } from "../ports.ts";

/** What a command's terminal needs of ours. */
export interface LocalTerminalPorts {
  readonly keyboard: Keyboard;
  readonly screen: Terminal;
  readonly unprocessedOutput: () => void;
}

export interface Size {
  readonly rows: number;
  readonly columns: number;
}

/** Of a terminal that nobody looks at. */
const defaultSize: Size = { rows: 24, columns: 80 };
const sideMax = 65_535;

/** The size of the terminal that we write to. */
export function sizeOf(screen: Terminal): Size {
  const { rows, columns, isTTY } = screen;
  if (isTTY !== true || rows === undefined || columns === undefined || rows < 1 || columns < 1) return defaultSize;
  return { rows: Math.min(rows, sideMax), columns: Math.min(columns, sideMax) };
}

/**
 * Our terminal while its keys belong to the command: every key goes there as it is, ^C too, and what comes back is shown as it is.
 * Disposing gives it back as it was. So does the end of the process, whatever ends it (but SIGKILL): Node restores at its exit the
 * modes that it found.
 */
export class LocalTerminal implements Disposable {
  readonly #keyboard: Keyboard;
  readonly #screen: Terminal;
  readonly #onResize: (() => void) | undefined;

  constructor({ keyboard, screen, unprocessedOutput }: LocalTerminalPorts, onResize: (size: Size) => void) {
    this.#keyboard = keyboard;
    this.#screen = screen;
    if (screen.isTTY === true) {
      this.#onResize = () => onResize(sizeOf(screen));
      screen.on("resize", this.#onResize);
    }
    if (keyboard.isTTY === true) {
      keyboard.setRawMode?.(true);
      unprocessedOutput(); // Node's raw mode would still make two characters of a line feed, and programs use it to go down.
    }
  }

  [Symbol.dispose](): void {
    if (this.#onResize !== undefined) this.#screen.off("resize", this.#onResize);
    if (this.#keyboard.isTTY === true && !this.#keyboard.destroyed) this.#keyboard.setRawMode?.(false);
  }
}
