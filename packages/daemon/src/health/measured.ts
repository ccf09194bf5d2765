import {
  clearShare,
  healthChecks,
  roundsToAlert,
  type HealthCheck,
  type HealthCode,
} from "@hl/protocol/health-checks.ts";
import type { Condition } from "./alert-book.ts";

/** A figure of one round beside what it is not to pass. */
export interface Measure {
  readonly code: HealthCode;
  readonly value: number;
  readonly limit: number;
}

interface State {
  readonly rounds: number;
  /** The limit that it passed. Below another one it is over at once: somebody has decided what is too much. */
  readonly raisedAt: number | undefined;
  readonly measure: Measure;
}

/** Thresholds with hysteresis: above in so many rounds in a row is a condition, which ends clearly below. */
export class Measured {
  readonly #states = new Map<HealthCode, State>();

  round(measures: readonly Measure[]): void {
    for (const measure of measures) {
      const { code, value, limit } = measure;
      const { rounds = 0, raisedAt } = this.#states.get(code) ?? {};
      const end = raisedAt === limit && limit > 0 ? limit * clearShare : limit;
      const isOver = raisedAt === undefined ? value > limit : value > end;
      const next = isOver ? rounds + 1 : 0;
      this.#states.set(code, { measure, rounds: next, raisedAt: next >= roundsToAlert ? limit : undefined });
    }
  }

  /** Nobody measures any more. */
  forget(): void {
    this.#states.clear();
  }

  /** With the figures of the last round. */
  get conditions(): Condition[] {
    return [...this.#states.values()]
      .filter(({ raisedAt }) => raisedAt !== undefined)
      .map(({ measure: { code, value, limit } }) => ({ code, text: overText(code, value, limit) }));
  }
}

function overText(code: HealthCode, value: number, limit: number): string {
  const { threshold = "" }: HealthCheck = healthChecks[code];
  const shown = Math.abs(value) < 1 ? Math.round(value * 1000) / 1000 : Math.round(value * 10) / 10;
  return `${shown} against a threshold of ${limit} (${threshold})`;
}
