// Loaded into the daemon by --import. At SIGWINCH, which means nothing to a daemon, it leaves in the current directory how late the
// event loop has been since the last time, in milliseconds.
import { renameSync, writeFileSync } from "node:fs";
import { monitorEventLoopDelay } from "node:perf_hooks";

const resolutionMs = 2;
const delay = monitorEventLoopDelay({ resolution: resolutionMs });
delay.enable();
process.on("SIGWINCH", () => {
  const late = (nanoseconds: number): number => Math.max(0, nanoseconds / 1e6 - resolutionMs);
  const figures = { p50: late(delay.percentile(50)), p99: late(delay.percentile(99)), max: late(delay.max) };
  writeFileSync("loop-delay.tmp", JSON.stringify(figures));
  renameSync("loop-delay.tmp", "loop-delay.json");
  delay.reset();
});
