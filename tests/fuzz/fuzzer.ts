/**
 * Coverage-guided fuzzing of one parser. An input that reaches something new is kept and changed further; one at which the target throws is a
 * crash, one that takes too long is a hang. Our own loop, because the known ones for this language bring a native addon by an install script.
 */
import { setImmediate } from "node:timers/promises";
import { Coverage } from "./coverage.ts";
import { mutate, randomOf } from "./mutate.ts";

export interface Target {
  /** What is asked of the parser, for people. */
  readonly promise: string;
  readonly seeds: readonly (string | Buffer)[];
  readonly words: readonly string[];
  /** Throws where the parser does what it must not. */
  readonly run: (input: Buffer) => void;
}

export interface Finding {
  readonly kind: "crash" | "hang";
  readonly input: Buffer;
  readonly what: string;
}

export interface Outcome {
  readonly inputs: number;
  readonly coverage: number;
  readonly kept: readonly Buffer[];
  readonly findings: readonly Finding[];
}

export interface FuzzOptions {
  readonly seed: number;
  readonly inputsMax: number;
  readonly untilMs?: number | undefined;
  /** What earlier runs have kept. */
  readonly corpus: readonly Buffer[];
  /** False: nothing is learned, only seeds and corpus are changed, at a hundred times the speed. */
  readonly guided: boolean;
  /** Called before a batch, and before each input that is looked at alone: whoever watches knows that it goes on. */
  readonly onBatch?: (() => void) | undefined;
}

/** One input may take so long; a batch of them is a few milliseconds. */
const hangMs = 1_000;
/** A look at the coverage costs as much as many inputs. */
const batchInputs = 512;
const findingsMax = 10;

export async function fuzz(target: Target, options: FuzzOptions): Promise<Outcome> {
  using coverage = options.guided ? new Coverage() : undefined;
  const random = randomOf(options.seed);
  const words = target.words.map((word) => Buffer.from(word));
  const findings: Finding[] = [];
  const kept: Buffer[] = [];
  let inputs = 0;
  const run = (input: Buffer): void => {
    inputs += 1;
    const finding = tryOne(target, input);
    if (finding !== undefined) findings.push(finding);
  };
  // What a target has promised to somebody comes later, and belongs to the inputs of that moment.
  let batch: readonly Buffer[] = [];
  const late = (reason: unknown): void => {
    const what = `one of ${batch.length} inputs, later: ${String(reason instanceof Error ? reason.stack : reason)}`;
    findings.push({ kind: "crash", input: Buffer.concat(batch), what });
  };
  process.on("unhandledRejection", late);
  using _listening = { [Symbol.dispose]: () => void process.off("unhandledRejection", late) };
  const keepIfNew = (tried: readonly Buffer[]): void => {
    if (coverage === undefined) return;
    const ofAll = coverage.take();
    if (ofAll.length === 0) return;
    for (const input of tried) {
      options.onBatch?.();
      tryOne(target, input);
      const alone = coverage.take();
      if (alone.length > 0) kept.push(input);
      coverage.know(alone);
    }
    coverage.know(ofAll);
  };
  const known = [...target.seeds.map((seed) => Buffer.from(seed as string)), ...options.corpus];
  if (!options.guided) kept.push(...known);
  for (const input of known) {
    options.onBatch?.();
    batch = [input];
    run(input);
    keepIfNew(batch);
    await setImmediate();
  }
  const goesOn = (): boolean =>
    inputs < options.inputsMax &&
    findings.length < findingsMax &&
    (options.untilMs === undefined || performance.now() < options.untilMs);
  while (goesOn()) {
    options.onBatch?.();
    const pick = (): Buffer => kept[Math.floor(random() * kept.length)] ?? Buffer.alloc(0);
    batch = Array.from({ length: batchInputs }, () => mutate(pick(), pick(), words, random));
    for (const input of batch) run(input);
    keepIfNew(batch);
    await setImmediate();
  }
  return { inputs, coverage: coverage?.size ?? 0, kept, findings };
}

export function tryOne(target: Target, input: Buffer): Finding | undefined {
  const startedAt = performance.now();
  try {
    target.run(Buffer.from(input));
  } catch (error) {
    return { kind: "crash", input, what: error instanceof Error ? (error.stack ?? error.message) : String(error) };
  }
  const ms = performance.now() - startedAt;
  return ms > hangMs ? { kind: "hang", input, what: `it took ${Math.round(ms)} ms` } : undefined;
}
