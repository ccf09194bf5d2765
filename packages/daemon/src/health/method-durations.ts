/** What of a call is counted. */
export interface TimedCall {
  readonly method: string;
  /** Undefined for a method that does not exist: whoever asks for such chooses its name. */
  readonly definition: unknown;
  readonly durationMs: number;
  readonly error: unknown;
}

/** From a cached answer to the turn of an agent. */
export const durationBounds = [0.0001, 0.0005, 0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10, 60, 600] as const;

interface Counts {
  /** By bucket, the last being all that is over the bounds. */
  readonly buckets: Float64Array;
  seconds: number;
  errors: number;
}

export const methodDurations = {
  name: "hl_daemon_method_duration_seconds",
  type: "histogram",
  unit: "seconds",
  help: "Time from the arrival of a request to its answer, by method. That of claude/relay has the agent's turn in it",
} as const;
export const methodErrors = {
  name: "hl_daemon_method_errors_total",
  type: "counter",
  unit: "requests",
  help: "Of these, those that were answered with an error",
} as const;

/** How long requests take, as Prometheus histograms. Counting one is a look-up and four additions, so it is done for each. */
export class MethodDurations {
  readonly #byMethod = new Map<string, Counts>();

  observe({ method, definition, durationMs, error }: TimedCall): void {
    if (definition === undefined) return;
    let counts = this.#byMethod.get(method);
    if (counts === undefined) {
      counts = { buckets: new Float64Array(durationBounds.length + 1), seconds: 0, errors: 0 };
      this.#byMethod.set(method, counts);
    }
    const seconds = durationMs / 1000;
    let bucket = 0;
    while (seconds > (durationBounds[bucket] ?? Infinity)) bucket += 1;
    counts.buckets[bucket] = (counts.buckets[bucket] ?? 0) + 1;
    counts.seconds += seconds;
    if (error !== undefined) counts.errors += 1;
  }

  /** In the text format; nothing of methods that nobody has called. */
  text(): string {
    if (this.#byMethod.size === 0) return "";
    const methods = [...this.#byMethod].sort(([one], [other]) => (one < other ? -1 : 1));
    return [
      ...headOf(methodDurations),
      ...methods.flatMap(([method, counts]) => histogramLines(method, counts)),
      ...headOf(methodErrors),
      ...methods.map(([method, { errors }]) => `${methodErrors.name}{method="${method}"} ${errors}`),
      "",
    ].join("\n");
  }
}

const headOf = ({ name, help, type }: { name: string; help: string; type: string }): string[] => [
  `# HELP ${name} ${help}`,
  `# TYPE ${name} ${type}`,
];

function histogramLines(method: string, { buckets, seconds }: Counts): string[] {
  const { name } = methodDurations;
  let sum = 0;
  const lines = [...buckets].map((count, at) => {
    sum += count;
    return `${name}_bucket{method="${method}",le="${durationBounds[at] ?? "+Inf"}"} ${sum}`;
  });
  return [...lines, `${name}_sum{method="${method}"} ${seconds}`, `${name}_count{method="${method}"} ${sum}`];
}
