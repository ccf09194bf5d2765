import { spawn, type ChildProcess } from "node:child_process";
import { createInterface, type Interface } from "node:readline";

export interface Load {
  /** Milliseconds of each, in the order of their ends. */
  readonly samples: readonly number[];
  readonly perSecond: number;
}

/** A closed loop: `atOnce` are in flight until `count` are done or `durationMs` has passed. */
export async function closedLoop(
  options: Readonly<{ atOnce: number; count?: number; durationMs?: number }>,
  work: (worker: number) => Promise<unknown>,
): Promise<Load> {
  const { atOnce, count = Infinity, durationMs = Infinity } = options;
  const samples: number[] = [];
  let begun = 0;
  const startedAt = performance.now();
  const worker = async (index: number): Promise<void> => {
    while (begun < count && performance.now() - startedAt < durationMs) {
      begun += 1;
      const at = performance.now();
      await work(index);
      samples.push(performance.now() - at);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, (_, index) => worker(index)));
  return { samples, perSecond: (1000 * samples.length) / (performance.now() - startedAt) };
}

/** Lets the sides take turns, each round beginning with another one, so that whatever the machine does hits all of them. */
export async function interleave(
  rounds: number,
  sides: Readonly<Record<string, () => Promise<readonly number[]>>>,
): Promise<Record<string, number[]>> {
  const names = Object.keys(sides);
  const samples = Object.fromEntries(names.map((name) => [name, [] as number[]]));
  for (let round = 0; round < rounds; round += 1) {
    for (let turn = 0; turn < names.length; turn += 1) {
      const name = names[(round + turn) % names.length]!;
      samples[name]!.push(...(await sides[name]!()));
    }
  }
  return samples;
}

/** A program that measures by itself: native/spawn-loop.c and programs/node-spawn.cjs. */
export class SpawnProgram implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #lines: Interface;

  constructor(command: string, args: readonly string[]) {
    const child = spawn(command, args, { stdio: ["pipe", "pipe", "inherit"] });
    this.#child = child;
    this.#lines = createInterface({ input: child.stdout });
  }

  /** Milliseconds of each start. */
  async run(starts: number, atOnce: number): Promise<number[]> {
    const line = await new Promise<string>((resolve, reject) => {
      const onExit = (code: number | null): void => reject(new Error(`${this.#child.spawnfile} ended with ${code}`));
      this.#child.once("exit", onExit);
      this.#lines.once("line", (text) => {
        this.#child.off("exit", onExit);
        resolve(text);
      });
      this.#child.stdin?.write(`${starts} ${atOnce}\n`);
    });
    return line.split(" ").map((nanoseconds) => Number(nanoseconds) / 1e6);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null) return;
    const ended = new Promise((resolve) => this.#child.once("exit", resolve));
    this.#child.stdin?.end();
    await ended;
  }
}
