/**
 * Loaded into the daemon under test: each second it appends when it is and the 99th percentile of the event loop's delay in it, in
 * milliseconds, to HOME/loop-delay.
 */
import { appendFileSync } from "node:fs";
import { join } from "node:path";
import { monitorEventLoopDelay } from "node:perf_hooks";

const resolutionMs = 5;
const home = process.argv[process.argv.indexOf("--home") + 1] ?? ".";
const delay = monitorEventLoopDelay({ resolution: resolutionMs });
delay.enable();

setInterval(() => {
  // An idle loop shows the interval of the samples.
  const p99 = Math.max(0, delay.percentile(99) / 1e6 - resolutionMs);
  delay.reset();
  appendFileSync(join(home, "loop-delay"), `${JSON.stringify([Date.now(), p99])}\n`);
}, 1_000).unref();
