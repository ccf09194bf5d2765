import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

export const clientProgram = fileURLToPath(new URL("../main.ts", import.meta.url));
export const healthCheckProgram = fileURLToPath(new URL("../health-check/main.ts", import.meta.url));

export interface Finished {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: Buffer;
  readonly stderr: string;
}

/** The real program as a child process; everything of the environment that could lead it elsewhere is left out. */
export class RunningClient {
  readonly child: ChildProcess;
  readonly finished: Promise<Finished>;
  #stdout: Buffer[] = [];
  #stderr = "";
  #waiters: (() => void)[] = [];

  constructor(
    args: readonly string[],
    options: { env?: Record<string, string>; program?: string; stdout?: "pipe" | number } = {},
  ) {
    const env = { PATH: process.env.PATH, ...options.env };
    const command = [options.program ?? clientProgram, ...args];
    this.child = spawn(process.execPath, command, { env, stdio: ["pipe", options.stdout ?? "pipe", "pipe"] });
    this.child.stdin?.on("error", () => {}); // A client that does not read its input may be gone before it is written.
    this.child.stdout?.on("data", (data: Buffer) => this.#grow(() => this.#stdout.push(data)));
    this.child.stderr?.setEncoding("utf8").on("data", (text: string) => this.#grow(() => (this.#stderr += text)));
    this.finished = once(this.child, "close").then(([code, signal]) => ({
      code: code as number | null,
      signal: signal as NodeJS.Signals | null,
      stdout: this.stdout,
      stderr: this.#stderr,
    }));
  }

  get stdout(): Buffer {
    return Buffer.concat(this.#stdout);
  }

  /** Resolves when the output says so; fails when the program ends without it. */
  async until(seen: (stdout: Buffer, stderr: string) => boolean): Promise<void> {
    const ended = this.finished.then(() => true);
    while (!seen(this.stdout, this.#stderr)) {
      const grown = new Promise<boolean>((resolve) => this.#waiters.push(() => resolve(false)));
      if ((await Promise.race([grown, ended])) && !seen(this.stdout, this.#stderr)) {
        throw new Error(`the program ended first; it said: ${this.stdout.toString()}${this.#stderr}`);
      }
    }
  }

  #grow(add: () => unknown): void {
    add();
    for (const wake of this.#waiters.splice(0)) wake();
  }
}

export function runClient(
  args: readonly string[],
  options?: ConstructorParameters<typeof RunningClient>[1],
): Promise<Finished> {
  const running = new RunningClient(args, options);
  running.child.stdin?.end();
  return running.finished;
}
