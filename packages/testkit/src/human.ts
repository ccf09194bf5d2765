/** A person at a real terminal, for programs that look for one: types, resizes the window, and sees what is shown. */
import { spawn, type ChildProcess } from "node:child_process";
import { constants } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { repositoryRoot, type ProgramName } from "./programs.ts";
import { within } from "./waiting.ts";

export interface HumanOptions {
  readonly env?: Readonly<Record<string, string>> | undefined;
  readonly rows?: number | undefined;
  readonly columns?: number | undefined;
}

/** Modes of the person's terminal; `same`: as they were before the program. */
export interface Modes {
  readonly raw: boolean;
  readonly echo: boolean;
  readonly same: boolean;
}

type Words = readonly string[];

export class Human implements Disposable {
  readonly #child: ChildProcess;
  #shown = "";
  #seenTo = 0;
  #exit: number | undefined;
  #modes: (Modes & { readonly modes: string }) | undefined;
  #stderr = "";
  #waiters: (() => void)[] = [];

  constructor(name: ProgramName, args: Words, options: HumanOptions = {}) {
    const { PATH = "/usr/local/bin:/usr/bin:/bin" } = process.env;
    const size = [String(options.rows ?? 24), String(options.columns ?? 80)];
    this.#child = spawn(
      "python3",
      [join(import.meta.dirname, "human.py"), ...size, join(repositoryRoot, "bin", name), ...args],
      { cwd: repositoryRoot, env: { PATH, HOME: "/", TERM: "xterm-256color", ...options.env }, stdio: "pipe" },
    );
    this.#child.stdin?.on("error", () => {}); // It may be gone already; what it said last tells.
    this.#child.stderr?.on("data", (chunk: Buffer) => (this.#stderr += chunk.toString()));
    createInterface({ input: this.#child.stdout! }).on("line", (line) => {
      const said = JSON.parse(line) as { shown?: string; exit?: number; modes?: string } & Modes;
      if (said.shown !== undefined) this.#shown += Buffer.from(said.shown, "base64").toString("latin1");
      if (said.modes !== undefined) this.#modes = { ...said, modes: said.modes };
      if (said.exit !== undefined) this.#exit = said.exit;
      this.#wake();
    });
    this.#child.once("close", () => {
      this.#exit ??= -1;
      this.#wake();
    });
  }

  /** Everything that the screen was given, one character a byte. */
  get shown(): string {
    return this.#shown;
  }

  type(keys: string): void {
    this.#order({ type: Buffer.from(keys, "latin1").toString("base64") });
  }

  resize(rows: number, columns: number): void {
    this.#order({ resize: [rows, columns] });
  }

  signal(name: NodeJS.Signals): void {
    this.#order({ signal: constants.signals[name] });
  }

  /** Resolves when it is shown, after what was looked for before. */
  async sees(what: RegExp): Promise<RegExpExecArray> {
    const found = (): RegExpExecArray | undefined => {
      const match = what.exec(this.#shown.slice(this.#seenTo));
      if (match !== null) this.#seenTo += match.index + match[0].length;
      return match ?? undefined;
    };
    return this.#until(`${String(what)} on the screen`, found);
  }

  async modes(): Promise<Modes> {
    this.#modes = undefined;
    this.#order({ modes: "asked" });
    return this.#until("the modes of the terminal", () => this.#modes);
  }

  /** The exit code, negative after a signal, and how the program left the terminal. */
  async leaves(): Promise<{ readonly code: number; readonly terminal: Modes }> {
    const code = await this.#until("the end of the program", () => this.#exit, true);
    const { raw = false, echo = false, same = false } = this.#modes ?? {};
    return { code, terminal: { raw, echo, same } };
  }

  [Symbol.dispose](): void {
    this.#child.stdin?.end();
  }

  #order(order: object): void {
    this.#child.stdin?.write(`${JSON.stringify(order)}\n`);
  }

  #wake(): void {
    for (const wake of this.#waiters.splice(0)) wake();
  }

  async #until<T>(what: string, probe: () => T | undefined, atEnd = false): Promise<T> {
    const look = async (): Promise<T> => {
      for (;;) {
        const answer = probe();
        if (answer !== undefined) return answer;
        if (this.#exit !== undefined && !atEnd) throw new Error(`it ended with ${this.#exit} before ${what}`);
        await new Promise<void>((resolve) => this.#waiters.push(resolve));
      }
    };
    try {
      return await within(what, look());
    } catch (error) {
      throw new Error(
        `${(error as Error).message}; shown: ${JSON.stringify(this.#shown.slice(-600))} ${this.#stderr}`,
        {
          cause: error,
        },
      );
    }
  }
}
