import { escapeLine } from "../render/escape.ts";

/** A judged answer of the daemon. Read by hand instead of by the contract's schema, which would cost more than the probe. */
export interface Verdict {
  readonly status: "healthy" | "degraded" | "unhealthy" | "unreachable";
  readonly reasons: readonly string[];
}

const codes: Readonly<Record<Verdict["status"], number>> = { healthy: 0, unhealthy: 1, unreachable: 1, degraded: 2 };

export function verdictExitCode({ status }: Verdict): number {
  return codes[status];
}

/** An answer that is no health result says that something else listens there. */
export function judge(answer: unknown): Verdict {
  const { status, alerts, service_status: services, uptime } = record(answer);
  if (status !== "healthy" && status !== "degraded" && status !== "unhealthy") {
    return { status: "unreachable", reasons: ["the answer is not a health result: is this hl-daemon?"] };
  }
  const fromAlerts = Array.isArray(alerts) ? alerts.map(alertReason).filter((reason) => reason !== "") : [];
  const failing = Object.entries(record(services)).filter(([, state]) => state === "error");
  const fromServices = failing.map(([name]) => `${name} reports an error`);
  const reasons = [...fromAlerts, ...fromServices];
  if (reasons.length > 0) return { status, reasons };
  if (status !== "healthy") return { status, reasons: ["the daemon gives no reason"] };
  return { status, reasons: typeof uptime === "number" ? [`up for ${Math.floor(uptime)} s`] : [] };
}

/** One line, whatever the daemon said. */
export function verdictLine({ status, reasons }: Verdict): string {
  return escapeLine(reasons.length === 0 ? status : `${status}: ${reasons.join("; ")}`);
}

function alertReason(alert: unknown): string {
  const { title, code, severity } = record(alert);
  if (severity === "info") return "";
  return typeof title === "string" ? title : String(code);
}

function record(value: unknown): Record<string, unknown> {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
}
