import type { Clock } from "@hl/core/clock.ts";

/** Asks a part for a sign of life; settling in either way is one, `false` is none. */
export type Probe = () => Promise<boolean>;

export interface ProgressOptions {
  readonly clock: Pick<Clock, "now">;
  /** By the name of the part. */
  readonly probes: Readonly<Record<string, Probe>>;
  /** A probe that has not settled for so long: its part is stuck. Longer than a slow disk takes for a sync. */
  readonly stuckMsMax?: number | undefined;
}

interface Asked {
  readonly atMs: number;
}

const stuckMsMaxDefault = 20_000;

/**
 * Whether the parts that a restart would help get on with their work: what a watchdog is fed by. The loop's own progress is that somebody
 * gets to ask here. Nothing outside of this machine counts, and no state that is degraded only (S4): a disk that refuses writes has answered.
 * Each part: idle → asked, once for every look → idle; what was asked for too long, or has said no, is stuck until it answers well.
 */
export class Progress {
  readonly #options: ProgressOptions;
  readonly #asked = new Map<string, Asked>();
  readonly #refused = new Set<string>();

  constructor(options: ProgressOptions) {
    this.#options = options;
  }

  /** To be called every few seconds; each call begins a new round of questions. Never waits. */
  isProgressing(): boolean {
    const stuck = this.stuck;
    for (const [part, probe] of Object.entries(this.#options.probes))
      if (!this.#asked.has(part)) this.#ask(part, probe);
    return stuck.length === 0;
  }

  /** Parts that make none, by name. */
  get stuck(): readonly string[] {
    const { clock, probes, stuckMsMax = stuckMsMaxDefault } = this.#options;
    return Object.keys(probes).filter((part) => {
      const since = this.#asked.get(part)?.atMs;
      return this.#refused.has(part) || (since !== undefined && clock.now() - since >= stuckMsMax);
    });
  }

  #ask(part: string, probe: Probe): void {
    const asked: Asked = { atMs: this.#options.clock.now() };
    this.#asked.set(part, asked);
    const settle = (isWell: boolean): void => {
      this.#asked.delete(part);
      if (isWell) this.#refused.delete(part);
      else this.#refused.add(part);
    };
    probe().then(settle, () => settle(true));
  }
}
