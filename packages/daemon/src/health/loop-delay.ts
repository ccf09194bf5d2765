import type { monitorEventLoopDelay } from "node:perf_hooks";

type Histogram = ReturnType<typeof monitorEventLoopDelay>;

/** A loop that is late in two rounds in a row is late in samples as rare as these too. */
const sampleMsDefault = 1_000;
/** Of a round. A loop that did less is late once at most, and each look would wake an idle processor, which costs it more than the look. */
const useMin = 0.05;

/**
 * How late the event loop does what is due, from one round of health to the next. States: off, while the loop has little to do → on → off; what
 * a round finds decides about the one behind it.
 */
export class LoopDelay {
  readonly #sampleMs: number;
  #use = performance.eventLoopUtilization();
  /** Some hundred KB, and the module behind it as much again: only for a loop that works. */
  #delays: Histogram | undefined;

  constructor(sampleMs = sampleMsDefault) {
    this.#sampleMs = sampleMs;
  }

  /** The 99th percentile since the last round, in milliseconds; 0 while it is off. */
  get ms(): number {
    // The histogram has the time from one sample to the next, so of a loop that is never late it has the interval itself.
    return this.#delays === undefined
      ? 0
      : Math.max(0, Math.round(this.#delays.percentile(99) / 10_000) / 100 - this.#sampleMs);
  }

  round(): void {
    const before = this.#use;
    this.#use = performance.eventLoopUtilization();
    const isInUse = performance.eventLoopUtilization(this.#use, before).utilization >= useMin;
    if (!isInUse) this.stop();
    else if (this.#delays === undefined) this.#start();
    // Delays count from the second sample behind a reset on: rounds that come faster than samples would never see one.
    else if (this.#delays.count > 0) this.#delays.reset();
  }

  stop(): void {
    this.#delays?.disable();
    this.#delays = undefined;
  }

  #start(): void {
    const { monitorEventLoopDelay: histogramOf } = process.getBuiltinModule("node:perf_hooks");
    this.#delays = histogramOf({ resolution: this.#sampleMs });
    this.#delays.enable();
  }
}
