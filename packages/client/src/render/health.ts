import type { ResultOf } from "@hl/protocol/method.ts";
import type { systemHealth } from "@hl/protocol/methods/system-health.ts";
import { escapeLine } from "./escape.ts";
import type { Paint, Tone } from "./paint.ts";

type Health = ResultOf<typeof systemHealth>;

const toneByStatus = { healthy: "good", degraded: "warning", unhealthy: "bad" } as const;
const toneBySeverity = { info: "plain", warning: "warning", critical: "bad" } as const satisfies Record<string, Tone>;

export function verdict(status: Health["status"], paint: Paint): string {
  return paint(toneByStatus[status], status);
}

/** Two lines each: what it is, what was seen and what to do. */
export function alertLines(alerts: Health["alerts"], paint: Paint): string[] {
  return alerts.flatMap((alert) => [
    `  ${paint(toneBySeverity[alert.severity], `${alert.severity}:`)} ${escapeLine(alert.title)} (${escapeLine(alert.code)})`,
    `      ${escapeLine(alert.text)}`,
  ]);
}
