import { readFileSync } from "node:fs";
import { join } from "node:path";

/** Arguments for the Node of a daemon that is to write down how late its event loop is. */
export const loopDelayArguments: readonly string[] = [
  `--import=${join(import.meta.dirname, "programs/loop-delay.ts")}`,
];

/** The 99th percentiles of the seconds that lie between two times of `Date.now()` whole, in milliseconds. */
export function loopDelaysOf(home: string, from: number, until: number): number[] {
  const lines = readFileSync(join(home, "loop-delay"), "utf8").trim().split("\n");
  const seconds = lines.map((line) => JSON.parse(line) as [at: number, p99: number]);
  return seconds.filter(([at]) => at > from + 1_000 && at <= until).map(([, p99]) => p99);
}
