/** Statistics of a benchmark: few, exact, and without a library. All times are in milliseconds. */
export interface Summary {
  readonly count: number;
  readonly mean: number;
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly max: number;
}

/** @param share between 0 and 1; by the nearest-rank method, so that the answer is always one of the samples. */
export function percentile(sorted: readonly number[], share: number): number {
  if (sorted.length === 0) return Number.NaN;
  const rank = Math.ceil(share * sorted.length);
  return sorted[Math.min(sorted.length, Math.max(1, rank)) - 1]!;
}

export function summarize(samples: readonly number[]): Summary {
  const sorted = samples.toSorted((a, b) => a - b);
  const sum = sorted.reduce((total, sample) => total + sample, 0);
  return {
    count: sorted.length,
    mean: sum / sorted.length,
    p50: percentile(sorted, 0.5),
    p90: percentile(sorted, 0.9),
    p99: percentile(sorted, 0.99),
    max: percentile(sorted, 1),
  };
}

/**
 * The median of the ratios of pairs that were measured right after each other. Noise of the machine hits both sides of a pair, so
 * this holds still where a ratio of two medians wanders. The shorter list decides how many pairs there are.
 */
export function pairedRatio(samples: readonly number[], base: readonly number[]): number {
  const pairs = samples.slice(0, base.length).map((sample, index) => sample / base[index]!);
  return percentile(
    pairs.toSorted((a, b) => a - b),
    0.5,
  );
}

/** As `pairedRatio`, for what one side takes longer than the other. */
export function pairedDifferences(samples: readonly number[], base: readonly number[]): number[] {
  return samples.slice(0, base.length).map((sample, index) => sample - base[index]!);
}

/** Three digits that matter; `µs` below a tenth of a millisecond would need a second unit, so it stays `ms`. */
export function ms(value: number): string {
  return `${digits(value)} ms`;
}

export function digits(value: number): string {
  if (!Number.isFinite(value)) return String(value);
  const size = Math.abs(value);
  if (size >= 1000) return Math.round(value).toLocaleString("en-US");
  if (size >= 100) return value.toFixed(0);
  if (size >= 10) return value.toFixed(1);
  return value.toFixed(size >= 1 ? 2 : 3);
}
