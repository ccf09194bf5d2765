import { getHeapStatistics } from "node:v8";
import type { Clock } from "@hl/core/clock.ts";

export interface SpareMemoryOptions {
  readonly clock: Pick<Clock, "now">;
  /** What the heap has of the machine, whether something lives in it or not. */
  readonly heldBytes?: (() => number) | undefined;
  /** Processor time of this process so far. */
  readonly cpuMs?: (() => number) | undefined;
  /** Gives back what is not used; undefined where this Node cannot (`--expose-gc`). */
  readonly giveBack?: (() => void) | undefined;
}

/** The heap has grown by so much since the last time: less is not worth the pause. */
export const grownBytesMin = 6 * 2 ** 20;
/** The pause grows with what lives, 5 to 10 ms for each MB; V8 looks after a heap that large by itself. */
export const heldBytesMax = 128 * 2 ** 20;
/** Of one core, since the round before: it does nothing but look after itself. */
export const quietCpuPercentMax = 2;

/**
 * V8 keeps what a busy time has made it take: an idle daemon would hold three times what lives in it, on every machine of a fleet. So a round of
 * health that finds it quiet for the second time has it given back, which stops the daemon for about 100 ms when nobody waits for it.
 */
export class SpareMemory {
  readonly #clock: Pick<Clock, "now">;
  readonly #heldBytes: () => number;
  readonly #cpuMs: () => number;
  readonly #giveBack: (() => void) | undefined;
  /** When memory was given back last. */
  #leftBytes = 0;
  #seen: { readonly atMs: number; readonly cpuMs: number; readonly isQuiet: boolean } | undefined;

  constructor({
    clock,
    heldBytes = heldBytesOfV8,
    cpuMs = cpuMsOfProcess,
    giveBack = giveBackOfV8(),
  }: SpareMemoryOptions) {
    this.#clock = clock;
    this.#heldBytes = heldBytes;
    this.#cpuMs = cpuMs;
    this.#giveBack = giveBack;
  }

  round(): void {
    if (this.#giveBack === undefined) return;
    const before = this.#seen;
    const atMs = this.#clock.now();
    const cpuMs = this.#cpuMs();
    const isQuiet =
      before !== undefined && (cpuMs - before.cpuMs) * 100 <= quietCpuPercentMax * Math.max(0, atMs - before.atMs);
    this.#seen = { atMs, cpuMs, isQuiet };
    if (!isQuiet || !before.isQuiet) return;
    const heldBytes = this.#heldBytes();
    if (heldBytes - this.#leftBytes < grownBytesMin || heldBytes > heldBytesMax) return;
    this.#giveBack();
    this.#leftBytes = this.#heldBytes();
    // The collection itself is no work of the daemon.
    this.#seen = { atMs: this.#clock.now(), cpuMs: this.#cpuMs(), isQuiet };
  }
}

function heldBytesOfV8(): number {
  return getHeapStatistics().total_physical_size;
}

function cpuMsOfProcess(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1_000;
}

function giveBackOfV8(): (() => void) | undefined {
  const { gc } = globalThis;
  if (gc === undefined) return undefined;
  return () => gc({ type: "major", execution: "sync", flavor: "last-resort" });
}
