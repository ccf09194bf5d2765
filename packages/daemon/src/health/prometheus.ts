import { metrics } from "./metrics.ts";
import type { Health } from "./monitor.ts";

/** The figures of health in the Prometheus text format. */
export function prometheusText(health: Health): string {
  return metrics
    .map((metric) => {
      const { name, type, help } = metric;
      const samples = "label" in metric ? labelled(metric.label, metric.readEach(health)) : plain(metric.read(health));
      if (samples.length === 0) return "";
      return `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${samples.map((sample) => `${name}${sample}\n`).join("")}`;
    })
    .join("");
}

function plain(value: number | undefined): string[] {
  return value === undefined ? [] : [` ${value}`];
}

/** Values of labels are names of ours, without a quotation mark. */
function labelled(label: string, samples: readonly (readonly [value: string, sample: number])[]): string[] {
  return samples.map(([value, sample]) => `{${label}="${value}"} ${sample}`);
}
