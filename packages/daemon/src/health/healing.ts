import type { Clock } from "@hl/core/clock.ts";
import type { Condition } from "./alert-book.ts";

export interface HealingSettings {
  /** Whether anything is repaired. */
  readonly enabled: boolean;
  /** Parts that are left as they are all the same. */
  readonly off?: readonly string[] | undefined;
  /** In a row, of one part. */
  readonly attemptsMax: number;
  /** Before the next attempt where the last one has not helped. */
  readonly delayMs: number;
}

/** One step of a repair, as it is told. */
export interface HealingStep {
  readonly part: string;
  readonly action: string;
  readonly why: string;
  readonly outcome: "begun" | "recovered" | "failed" | "exhausted" | "reset";
  /** In a row; 0 where nothing counts them here. */
  readonly attempt: number;
  readonly attempts_max: number;
}

export interface HealingOptions {
  readonly clock: Pick<Clock, "now" | "sleep">;
  /** Read anew for each attempt. */
  readonly settings: HealingSettings;
  readonly onStep: (step: HealingStep) => void;
}

interface Part {
  attempts: number;
  action: string;
  why: string;
  lastFailed: boolean;
  isUnderWay: boolean;
  lastMs: number;
  wellSinceMs: number | undefined;
  isSpent: boolean;
  woken: PromiseWithResolvers<undefined>;
}

/** A part that was well for so long begins anew, as an agent does (ADR 26). */
export const wellMs = 600_000;

/**
 * The budget of self-healing. Parts repair themselves in their own modules and ask here before each attempt.
 * States of a part: well → attempt under way → well for a while (a new budget), or failed → next attempt after the delay → …, or
 * spent: nothing more is tried until somebody says so, or it has been well for a while.
 */
export class Healing {
  readonly #options: HealingOptions;
  readonly #parts = new Map<string, Part>();

  constructor(options: HealingOptions) {
    this.#options = options;
  }

  /** Resolves when the part may be repaired now; the attempt counts. Rejects when the signal aborts. */
  async turn(name: string, action: string, why: string, signal: AbortSignal): Promise<void> {
    const { clock, settings } = this.#options;
    for (;;) {
      if (this.begin(name, action, why)) return;
      const part = this.#part(name);
      const left = part.lastMs + settings.delayMs - clock.now();
      const awake = new AbortController();
      const isOver = part.isSpent || this.#isOff(name);
      const slept = isOver ? [] : [clock.sleep(left, AbortSignal.any([signal, awake.signal])).catch(() => {})];
      await Promise.race([...slept, part.woken.promise, aborted(signal, awake.signal)]);
      awake.abort();
      signal.throwIfAborted();
    }
  }

  /** Whether the part may be repaired now; the attempt counts if so. */
  begin(name: string, action: string, why: string): boolean {
    const { clock, settings } = this.#options;
    const part = this.#part(name);
    this.#refresh(part);
    Object.assign(part, { action, why, wellSinceMs: undefined });
    if (this.#isOff(name)) return false;
    if (part.attempts >= settings.attemptsMax) {
      if (!part.isSpent) {
        part.isSpent = true;
        this.#tell(name, part, "exhausted");
      }
      return false;
    }
    if (part.lastFailed && clock.now() - part.lastMs < settings.delayMs) return false;
    part.attempts += 1;
    part.isUnderWay = true;
    part.lastFailed = false;
    part.lastMs = clock.now();
    this.#tell(name, part, "begun");
    return true;
  }

  /** The attempt has helped, or the part is well without one. */
  recovered(name: string): void {
    const part = this.#parts.get(name);
    if (part === undefined) return;
    part.wellSinceMs ??= this.#options.clock.now();
    if (!part.isUnderWay) return;
    part.isUnderWay = false;
    part.lastFailed = false;
    this.#tell(name, part, "recovered");
  }

  failed(name: string, why: string): void {
    const part = this.#part(name);
    if (!part.isUnderWay) return;
    part.isUnderWay = false;
    Object.assign(part, { lastFailed: true, lastMs: this.#options.clock.now(), why });
    this.#tell(name, part, "failed");
  }

  /** A part that counts its attempts itself has made the last of them. */
  gaveUp(name: string, action: string, why: string, attempts: number): void {
    const part = this.#part(name);
    Object.assign(part, { action, why, attempts, isSpent: true, wellSinceMs: undefined });
    this.#tell(name, part, "exhausted");
  }

  /** Somebody has removed the cause: every part that has used some of its budget gets all of it again. Answers which. */
  reset(): string[] {
    const used = [...this.#parts].filter(([, part]) => part.attempts > 0);
    for (const [name, part] of used) {
      Object.assign(part, { attempts: 0, isSpent: false, lastFailed: false });
      this.#tell(name, part, "reset");
    }
    this.settingsChanged();
    return used.map(([name]) => name);
  }

  /** Whoever waits looks again. */
  settingsChanged(): void {
    for (const part of this.#parts.values()) {
      if (part.isUnderWay || part.attempts < this.#options.settings.attemptsMax) part.isSpent = false;
      part.woken.resolve(undefined);
      part.woken = Promise.withResolvers();
    }
  }

  /** Parts whose budget is spent. */
  get conditions(): Condition[] {
    return [...this.#parts].flatMap(([name, part]) => {
      this.#refresh(part);
      if (!part.isSpent) return [];
      const text = `${name}: ${part.attempts} attempts in a row to ${part.action} have not lasted: ${part.why}`;
      return [{ code: "self_healing_exhausted" as const, subject: name, text }];
    });
  }

  #isOff(name: string): boolean {
    const { enabled, off = [] } = this.#options.settings;
    return !enabled || off.includes(name);
  }

  #part(name: string): Part {
    const known = this.#parts.get(name);
    if (known !== undefined) return known;
    const part: Part = {
      ...{ attempts: 0, action: "", why: "", lastFailed: false, isUnderWay: false, lastMs: 0, isSpent: false },
      wellSinceMs: undefined,
      woken: Promise.withResolvers(),
    };
    this.#parts.set(name, part);
    return part;
  }

  #refresh(part: Part): void {
    if (part.wellSinceMs === undefined || this.#options.clock.now() - part.wellSinceMs < wellMs) return;
    Object.assign(part, { attempts: 0, isSpent: false, lastFailed: false });
  }

  #tell(part: string, { action, why, attempts }: Part, outcome: HealingStep["outcome"]): void {
    const { settings, onStep } = this.#options;
    onStep({ part, action, why, outcome, attempt: attempts, attempts_max: settings.attemptsMax });
  }
}

/** Resolves when the first aborts; listens no longer than until the second does. */
function aborted(signal: AbortSignal, until: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener("abort", () => resolve(), { once: true, signal: until }));
}
