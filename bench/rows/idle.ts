import type { BenchContext, Benchmark } from "../context.ts";
import { verdictOf, type Row } from "../report.ts";
import { digits, ms, summarize } from "../stats.ts";

/** What the daemon costs while nothing happens. The budgets are those of the release bundle; this is from source. */
export const idleBench: Benchmark = { name: "idle", run };

async function run(context: BenchContext): Promise<Row[]> {
  const starts: number[] = [];
  for (let round = 0; round < (context.quick ? 3 : 10); round += 1) {
    await using daemon = await context.startDaemon();
    starts.push(daemon.startMs);
  }
  const daemon = await context.startDaemon();
  await new Promise((resolve) => setTimeout(resolve, 2_000));
  const seconds = context.quick ? 10 : 30;
  const before = daemon.cpuMs();
  await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
  const cpuPercent = (daemon.cpuMs() - before) / seconds / 10;
  const rss = daemon.statusKb("VmRSS") / 1024;
  const anonymous = daemon.statusKb("RssAnon") / 1024;
  const start = summarize(starts);
  return [
    {
      what: "start to ready (from source)",
      budget: "< 300 ms",
      measured: `p50 ${ms(start.p50)}, max ${ms(start.max)}`,
      verdict: verdictOf(start.p50, 300),
      values: { p50: start.p50, max: start.max },
    },
    {
      what: "idle RSS (from source)",
      budget: "< 80 MB (bundle)",
      measured: `${digits(rss)} MB`,
      verdict: verdictOf(rss, 80),
      values: { megabytes: rss },
    },
    {
      what: "idle RssAnon (from source)",
      budget: "< 30 MB (bundle)",
      measured: `${digits(anonymous)} MB`,
      verdict: verdictOf(anonymous, 30),
      values: { megabytes: anonymous },
    },
    {
      what: `idle processor time over ${seconds} s`,
      budget: "< 0.3 %",
      measured: `${digits(cpuPercent)} %`,
      verdict: verdictOf(cpuPercent, 0.3),
      values: { percent: cpuPercent },
    },
  ];
}
