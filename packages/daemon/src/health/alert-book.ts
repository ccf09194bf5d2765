import type { Clock } from "@hl/core/clock.ts";
import type { ResultOf } from "@hl/protocol/method.ts";
import type { systemHealth } from "@hl/protocol/methods/system-health.ts";
import { healthChecks, type HealthCheck, type HealthCode } from "@hl/protocol/health-checks.ts";

export type Alert = ResultOf<typeof systemHealth>["alerts"][number];

/** A check of the registry that holds at this moment. */
export interface Condition {
  readonly code: HealthCode;
  /** What was seen. */
  readonly text: string;
  /** Which of several it is about, such as an agent. */
  readonly subject?: string | undefined;
  /** When it began, by the monotonic clock, where that is known; else when it was seen first. */
  readonly sinceMs?: number | undefined;
}

export interface AlertChange {
  readonly change: "raised" | "cleared";
  readonly code: HealthCode;
  readonly alert: Alert;
}

interface Entry {
  readonly code: HealthCode;
  readonly sinceMs: number;
  readonly alert: Alert;
}

/**
 * From what holds to what is told: each condition becomes an alert when it has held for the hold-off of its check.
 * States of one: seen → held off → raised → gone.
 */
export class AlertBook {
  readonly #clock: Pick<Clock, "now" | "wallMs">;
  #seen = new Map<string, Entry>();
  #told = new Map<string, Entry>();

  constructor(clock: Pick<Clock, "now" | "wallMs">) {
    this.#clock = clock;
  }

  /** Alerts of what holds now. */
  alerts(conditions: readonly Condition[]): Alert[] {
    const now = this.#clock.now();
    const seen = new Map<string, Entry>();
    for (const condition of conditions) {
      const key = keyOf(condition);
      const sinceMs = condition.sinceMs ?? this.#seen.get(key)?.sinceMs ?? now;
      seen.set(key, { code: condition.code, sinceMs, alert: this.#alertOf(condition, now - sinceMs) });
    }
    this.#seen = seen;
    return [...this.#raised().values()].map(({ alert }) => alert);
  }

  /** What has changed of the alerts since this was asked last. */
  changes(): AlertChange[] {
    const raised = this.#raised();
    const changes: AlertChange[] = [];
    for (const [key, { code, alert }] of this.#told)
      if (!raised.has(key)) changes.push({ change: "cleared", code, alert });
    for (const [key, { code, alert }] of raised)
      if (!this.#told.has(key)) changes.push({ change: "raised", code, alert });
    this.#told = raised;
    return changes;
  }

  #raised(): Map<string, Entry> {
    const now = this.#clock.now();
    const isDue = ([, { code, sinceMs }]: [string, Entry]): boolean => now - sinceMs >= healthChecks[code].holdOffMs;
    return new Map([...this.#seen].filter(isDue));
  }

  #alertOf({ code, text }: Condition, heldMs: number): Alert {
    const { severity, title, remedy }: HealthCheck = healthChecks[code];
    const since = Math.round(this.#clock.wallMs() - heldMs) / 1000;
    return { code, severity, title, text, remedy, since };
  }
}

function keyOf({ code, subject }: Condition): string {
  return subject === undefined ? code : `${code} ${subject}`;
}

/** `healthy`: nothing to do; `degraded`: works, somebody should look; `unhealthy`: does not do its job. */
export function statusOf(alerts: readonly Pick<Alert, "severity">[]): "healthy" | "degraded" | "unhealthy" {
  if (alerts.some(({ severity }) => severity === "critical")) return "unhealthy";
  return alerts.some(({ severity }) => severity === "warning") ? "degraded" : "healthy";
}
