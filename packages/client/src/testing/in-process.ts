import { systemClock, type Clock } from "@hl/core/clock.ts";
import { Readable, Writable } from "node:stream";
import type { EndingSignal, Ports } from "../ports.ts";
import { runClient } from "../program.ts";

/** hl-client inside the test, for what needs no process of its own: its outside world is this object. */
export interface InProcessOptions {
  readonly env?: Record<string, string>;
  readonly stdin?: string;
  /** Width of the terminal that standard output then is. */
  readonly columns?: number;
  /** The same of standard error. */
  readonly stderrColumns?: number;
  readonly clock?: Clock;
  readonly programFile?: string;
}

export class InProcess {
  stdout = "";
  stderr = "";
  readonly exitCode: Promise<number>;
  #signal: ((signal: EndingSignal) => void) | undefined;
  #waiters: (() => void)[] = [];
  #ended = false;

  constructor(args: readonly string[], options: InProcessOptions = {}) {
    const ports: Ports = {
      args,
      env: options.env ?? {},
      cwd: "/",
      programFile: options.programFile ?? "/nowhere/hl-client",
      stdout: this.#terminal((text) => (this.stdout += text), options.columns),
      stderr: this.#terminal((text) => (this.stderr += text), options.stderrColumns),
      stdin: () => Readable.from([Buffer.from(options.stdin ?? "")]),
      unprocessedOutput: () => {},
      runEditor: () => Promise.reject(new Error("there is no editor here")),
      clock: options.clock ?? systemClock,
      random: () => 0,
      uuid: () => "00000000-0000-4000-8000-000000000001",
      signals: (listener) => {
        this.#signal = listener;
        return () => (this.#signal = undefined);
      },
    };
    this.exitCode = runClient(ports).then(({ exitCode }) => {
      this.#ended = true;
      this.#wake();
      return exitCode;
    });
  }

  interrupt(signal: EndingSignal = "SIGINT"): void {
    this.#signal?.(signal);
  }

  /** Resolves when the output says so; fails when the command ends without it. */
  async until(seen: () => boolean): Promise<void> {
    while (!seen()) {
      if (this.#ended) throw new Error(`ended first; it said: ${this.stdout}${this.stderr}`);
      await new Promise<void>((resolve) => this.#waiters.push(resolve));
    }
  }

  #terminal(take: (text: string) => void, columns?: number): Writable & { isTTY?: boolean; columns?: number } {
    const stream = new Writable({
      write: (chunk: Buffer, _encoding, done) => {
        take(chunk.toString());
        this.#wake();
        done();
      },
    });
    return columns === undefined ? stream : Object.assign(stream, { isTTY: true, columns });
  }

  #wake(): void {
    for (const wake of this.#waiters.splice(0)) wake();
  }
}

export async function inProcess(
  args: readonly string[],
  options?: InProcessOptions,
): Promise<{ code: number; stdout: string; stderr: string }> {
  const client = new InProcess(args, options);
  const code = await client.exitCode;
  return { code, stdout: client.stdout, stderr: client.stderr };
}
