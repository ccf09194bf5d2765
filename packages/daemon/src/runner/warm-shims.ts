import { randomUUID } from "node:crypto";
import type { Clock } from "@hl/core/clock.ts";
import type { Preparation } from "./records.ts";
import { Shim } from "./shim.ts";
import { prepareFrame } from "./start-frame.ts";

/** A shim that waits, or is about to: the name of the run it will hold, and what it has been told to prepare for it. */
export interface WarmShim {
  readonly runId: string;
  /** Undefined where nothing is known ahead. */
  readonly preparation: Preparation | undefined;
  /** Never rejects; undefined when the runner cannot be reached. */
  readonly connected: Promise<Shim | undefined>;
}

export interface WarmShimsOptions {
  readonly socketPath: string;
  /** Kept while nothing happens. */
  readonly least: number;
  /** Kept at most after a burst. */
  readonly most: number;
  readonly clock: Clock;
}

/** A run that lasts longer than this is not waited for before the pool is filled up. */
const fillMs = 25;
/** After so long without a burst the pool is as small as before it. */
const quietMs = 5_000;

/**
 * Shims forked ahead of time, so that a start pays no fork of its own. The pool doubles each time somebody finds it empty, and is
 * small again when it has been quiet.
 */
export class WarmShims implements Disposable {
  readonly #options: WarmShimsOptions;
  readonly #waiting: WarmShim[] = [];
  #prepare: (() => Preparation) | undefined;
  #encoded: Readonly<{ preparation: Preparation; frame: Buffer }> | undefined;
  #target: number;
  #cancelQuiet: (() => void) | undefined;
  #cancelFill: (() => void) | undefined;
  #emptyAt = 0;
  #stopped = false;

  constructor(options: WarmShimsOptions) {
    this.#options = options;
    this.#target = options.least;
  }

  /** What shims prepare from now on. */
  prepareWith(prepare: () => Preparation): void {
    this.#prepare = prepare;
  }

  /** Shims that wait, or are about to. */
  get size(): number {
    return this.#waiting.length;
  }

  /** One that waits, or else one that is being forked now. */
  take(): WarmShim {
    this.#cancelFill ??= this.#options.clock.after(fillMs, () => this.fill());
    const warm = this.#waiting.shift();
    if (warm !== undefined) return warm;
    this.#grow();
    return this.#connect(this.#prepare?.());
  }

  /** Forks those that are missing. Called when a program has just been started: the daemon waits then, and the start is over. */
  fill(): void {
    this.#cancelFill?.();
    this.#cancelFill = undefined;
    if (this.#stopped || this.#waiting.length >= this.#target) return;
    const preparation = this.#prepare?.();
    while (this.#waiting.length < this.#target) this.#waiting.push(this.#connect(preparation));
  }

  [Symbol.dispose](): void {
    this.#stopped = true;
    this.#cancelQuiet?.();
    this.#cancelFill?.();
    this.#dismiss(0);
  }

  #grow(): void {
    const { least, most, clock } = this.#options;
    this.#target = Math.min(Math.max(this.#target, 1) * 2, Math.max(most, least));
    this.#emptyAt = clock.now();
    this.#cancelQuiet ??= clock.after(quietMs, () => this.#whenQuiet());
  }

  #whenQuiet(): void {
    const { clock, least } = this.#options;
    const left = this.#emptyAt + quietMs - clock.now();
    this.#cancelQuiet = left > 0 ? clock.after(left, () => this.#whenQuiet()) : undefined;
    if (left > 0) return;
    this.#target = least;
    this.#dismiss(least);
  }

  #dismiss(kept: number): void {
    for (const { connected } of this.#waiting.splice(kept)) void connected.then((shim) => shim?.detach());
  }

  /** The same for nearly all of them. */
  #frameOf(preparation: Preparation): Buffer {
    if (this.#encoded?.preparation !== preparation) this.#encoded = { preparation, frame: prepareFrame(preparation) };
    return this.#encoded.frame;
  }

  #connect(preparation: Preparation | undefined): WarmShim {
    const runId = randomUUID();
    const connected = Shim.connect(this.#options.socketPath).then(
      (shim) => {
        if (preparation !== undefined) shim.prepare(this.#frameOf(preparation));
        return shim;
      },
      () => {
        const at = this.#waiting.indexOf(warm);
        if (at !== -1) this.#waiting.splice(at, 1);
        return undefined;
      },
    );
    const warm: WarmShim = { runId, preparation, connected };
    return warm;
  }
}
