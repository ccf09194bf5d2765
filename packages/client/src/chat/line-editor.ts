/**
 * A line of a person at a terminal, with history and the keys of node:readline. A backslash at its end, or a paste of several lines, makes
 * it a message of several lines. It owns the keyboard while somebody is asked, and only then.
 */
import { clearScreenDown, createInterface, cursorTo, type Interface } from "node:readline";
import type { Keyboard, Terminal } from "../ports.ts";

export type Typed =
  | { readonly kind: "line"; readonly text: string }
  /** Ctrl-D, or the terminal has gone. */
  | { readonly kind: "end" }
  /** Ctrl-C where nothing was typed. */
  | { readonly kind: "interrupt" }
  /** The signal aborted. */
  | { readonly kind: "gone" };

export interface AskOptions {
  readonly prompt: string;
  readonly signal?: AbortSignal | undefined;
  /** Stands there already. */
  readonly begun?: string | undefined;
  /** Whether lines are remembered, and may be continued. */
  readonly message?: boolean | undefined;
}

const historyMax = 500;
const continued = "… ";
/** Terminals that know it mark what was pasted, so that its line ends are not taken for Enter. */
const markPastes = "\u001b[?2004h";
const markNoPastes = "\u001b[?2004l";

export class LineEditor {
  readonly #keyboard: Keyboard;
  readonly #screen: Terminal;
  #history: string[] = [];
  #open: Interface | undefined;

  constructor(keyboard: Keyboard, screen: Terminal) {
    this.#keyboard = keyboard;
    this.#screen = screen;
  }

  /** Above the line that is being typed. Answers false where nobody is asked. */
  above(text: string): boolean {
    if (this.#open === undefined) return false;
    cursorTo(this.#screen, 0);
    clearScreenDown(this.#screen);
    this.#screen.write(`${text}\n`);
    this.#open.prompt(true);
    return true;
  }

  async ask({ prompt, signal, begun, message = false }: AskOptions): Promise<Typed> {
    if (signal?.aborted === true) return { kind: "gone" };
    const { promise, resolve } = Promise.withResolvers<Typed>();
    const history = message ? { history: [...this.#history], historySize: historyMax } : { historySize: 0 };
    const line = createInterface({ input: this.#keyboard, output: this.#screen, terminal: true, prompt, ...history });
    this.#open = line;
    const message_ = new Message(message, line, prompt, (text) => resolve({ kind: "line", text }));
    const onKey = (_text: unknown, key: { readonly name?: string } | undefined): void => message_.onKey(key?.name);
    const onGone = (): void => resolve({ kind: "gone" });
    signal?.addEventListener("abort", onGone, { once: true });
    this.#keyboard.on("keypress", onKey);
    line.on("line", (text) => message_.onLine(text));
    line.on("SIGINT", () => {
      if (!message_.clear()) resolve({ kind: "interrupt" });
    });
    line.on("close", () => resolve({ kind: "end" }));
    if (message) this.#screen.write(markPastes);
    line.prompt();
    if (begun !== undefined) line.write(begun);
    const typed = await promise;
    this.#open = undefined;
    signal?.removeEventListener("abort", onGone);
    this.#keyboard.off("keypress", onKey);
    line.close();
    if (message) this.#screen.write(markNoPastes);
    if (typed.kind !== "line") this.#screen.write("\n");
    else if (message && typed.text.trim() !== "") this.#remember(typed.text);
    return typed;
  }

  /** A message of several lines comes back as one, for it is one line that is edited. */
  #remember(text: string): void {
    const line = text.replaceAll("\n", " ");
    this.#history = [line, ...this.#history.filter((known) => known !== line)].slice(0, historyMax);
  }
}

/** The lines of one answer. Those that arrive together belong together, also where the terminal marks no pastes. */
class Message {
  readonly #mayContinue: boolean;
  readonly #line: Interface;
  readonly #prompt: string;
  readonly #done: (text: string) => void;
  #lines: string[] = [];
  #pasting = false;
  #ending = false;

  constructor(mayContinue: boolean, line: Interface, prompt: string, done: (text: string) => void) {
    this.#mayContinue = mayContinue;
    this.#line = line;
    this.#prompt = prompt;
    this.#done = done;
  }

  onKey(name: string | undefined): void {
    if (name === "paste-start") this.#pasting = true;
    else if (name === "paste-end") this.#pasting = false;
  }

  onLine(text: string): void {
    const open = this.#mayContinue && text.endsWith("\\");
    this.#lines.push(open ? text.slice(0, -1) : text);
    if (this.#pasting || open) {
      this.#line.setPrompt(continued);
      this.#line.prompt();
    } else if (!this.#ending) {
      this.#ending = true;
      setImmediate(() => this.#finish());
    }
  }

  /** Answers whether there was anything. */
  clear(): boolean {
    const typed = this.#lines.length > 0 || this.#line.line !== "";
    if (!typed) return false;
    this.#lines = [];
    this.#line.write(null, { ctrl: true, name: "e" });
    this.#line.write(null, { ctrl: true, name: "u" });
    this.#line.setPrompt(this.#prompt);
    this.#line.prompt();
    return true;
  }

  #finish(): void {
    this.#ending = false;
    // More has come with it that has no end yet: it is typed on.
    if (this.#line.line !== "") {
      this.#line.setPrompt(continued);
      this.#line.prompt(true);
      return;
    }
    this.#done(this.#lines.join("\n"));
  }
}
