import type { Keyboard, Terminal } from "../ports.ts";
import type { Sink } from "../sink.ts";
import { sizeOf, type Size } from "../follow/local-terminal.ts";

/** Another screen without a cursor, and without wrapping: what a terminal takes for wider than we do is cut at its edge. */
const enter = "\u001b[?1049h\u001b[?25l\u001b[?7l";
const leave = "\u001b[?7h\u001b[?25h\u001b[?1049l";

export interface FullScreenPorts {
  readonly out: Sink;
  readonly screen: Terminal;
  readonly keyboard: Keyboard;
  /** What was typed, as it came at once. */
  readonly onInput: (data: Uint8Array) => void;
  readonly onResize: () => void;
}

/**
 * The whole terminal while a view has it. Each frame is written whole, over the one before; while the terminal takes nothing more no frame is
 * written, and the newest one follows. Disposing gives the terminal back as it was; its modes come back at every end but SIGKILL.
 */
export class FullScreen implements Disposable {
  readonly #ports: FullScreenPorts;
  readonly #over = new AbortController();
  #waiting: (() => readonly string[]) | undefined;
  #isBlocked = false;

  constructor(ports: FullScreenPorts) {
    const { out, screen, keyboard, onInput, onResize } = ports;
    this.#ports = ports;
    keyboard.setRawMode?.(true);
    keyboard.on("data", onInput);
    keyboard.resume();
    screen.on("resize", onResize);
    out.write(enter);
  }

  get size(): Size {
    return sizeOf(this.#ports.screen);
  }

  /** @param frame answers as many lines as the terminal has; asked when they are about to be written, so that it is never an old one */
  draw(frame: () => readonly string[]): void {
    const { out } = this.#ports;
    if (this.#over.signal.aborted) return;
    if (this.#isBlocked) {
      this.#waiting = frame;
      return;
    }
    // Cleared before it is written: behind a line that fills the width the cursor stands on its last character.
    const lines = frame().map((line) => `\u001b[2K${line}`);
    if (out.write(`\u001b[H${lines.join("\r\n")}`)) return;
    this.#isBlocked = true;
    void out.drained(this.#over.signal).then(() => {
      const next = this.#waiting;
      this.#isBlocked = false;
      this.#waiting = undefined;
      if (next !== undefined) this.draw(next);
    });
  }

  [Symbol.dispose](): void {
    if (this.#over.signal.aborted) return;
    this.#over.abort();
    const { out, screen, keyboard, onInput, onResize } = this.#ports;
    out.write(leave);
    screen.off("resize", onResize);
    keyboard.off("data", onInput);
    keyboard.pause();
    if (!keyboard.destroyed) keyboard.setRawMode?.(false);
  }
}
