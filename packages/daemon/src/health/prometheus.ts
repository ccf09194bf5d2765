import { metrics } from "./metrics.ts";
import type { Health } from "./monitor.ts";

/** The figures of health in the Prometheus text format. */
export function prometheusText(health: Health): string {
  return metrics
    .map(({ name, type, help, read }) => `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${name} ${read(health)}\n`)
    .join("");
}
