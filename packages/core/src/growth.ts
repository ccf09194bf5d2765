/** How a wait grows with each refusal in a row. */
export type GrowthStrategy = "exponential" | "linear" | "constant";

/** The wait after the n-th refusal in a row (the first is 1), between `firstMs` and `maxMs`. */
export function grownMs(strategy: GrowthStrategy, firstMs: number, refusals: number, maxMs: number): number {
  const n = Math.max(1, refusals);
  const factor = strategy === "constant" ? 1 : strategy === "linear" ? n : 2 ** Math.min(n - 1, 30);
  return Math.min(Math.max(maxMs, firstMs), firstMs * factor);
}
