import { spawn } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { join } from "node:path";
import { ownShares, processorShares } from "@hl/testkit/idle-cost.ts";
import { repositoryRoot } from "@hl/testkit/programs.ts";
import { bundle, programs } from "../../scripts/bundle.ts";
import type { BenchContext, Benchmark } from "../context.ts";
import type { BenchDaemon } from "../daemon.ts";
import { verdictOf, type Row } from "../report.ts";
import { digits, ms, summarize } from "../stats.ts";

/** Rounds of health follow each other faster than installed, so that memory is given back within the benchmark; they cost more processor time. */
const roundSeconds = 10;

/** The budget's MB, read strictly: 10^6 bytes, where the kernel counts in units of 2^10. */
const megabytesOf = (daemon: BenchDaemon, name: string): number => (daemon.statusKb(name) * 1024) / 1e6;

/** What the bundle of a release costs while nothing happens. */
export const idleBench: Benchmark = { name: "idle", run };

async function run(context: BenchContext): Promise<Row[]> {
  const main = join(repositoryRoot, "build/programs/hl-daemon/main.mjs");
  await bundle(programs["hl-daemon"]!, main);
  const bundled = { main };
  const starts: number[] = [];
  for (let round = 0; round < (context.quick ? 3 : 10); round += 1) {
    await using daemon = await context.startDaemon(bundled);
    starts.push(daemon.startMs);
  }
  const config = { health_monitoring: { check_interval: roundSeconds } };
  const daemon = await context.startDaemon({ ...bundled, config });
  const young = megabytesOf(daemon, "RssAnon");
  using bare = bareNode();
  await sleep(2.5 * roundSeconds * 1000);
  const seconds = context.quick ? 10 : 60;
  const pids = [daemon.pid, bare.pid];
  const [atRest = 0, bareAtRest = 0] = await processorShares(pids, seconds);
  const rss = megabytesOf(daemon, "VmRSS");
  const anonymous = megabytesOf(daemon, "RssAnon");
  const [own = 0, bareOwn = 0] = await ownShares(pids, seconds);
  const start = summarize(starts);
  return [
    {
      what: "start to ready (bundle)",
      budget: "< 300 ms",
      measured: `p50 ${ms(start.p50)}, max ${ms(start.max)}`,
      verdict: verdictOf(start.p50, 300),
      values: { p50: start.p50, max: start.max },
    },
    {
      what: "idle RSS (bundle)",
      budget: "< 80 MB",
      measured: `${digits(rss)} MB`,
      verdict: verdictOf(rss, 80),
      values: { megabytes: rss },
    },
    {
      what: "idle RssAnon (bundle)",
      budget: "< 30 MB",
      measured: `${digits(anonymous)} MB (when it has started ${digits(young)})`,
      verdict: verdictOf(anonymous, 30),
      values: { megabytes: anonymous, started: young },
    },
    {
      what: `idle processor time over ${seconds} s`,
      budget: "< 0.3 %",
      measured: `${digits(atRest)} % (a bare Node that wakes once a second ${digits(bareAtRest)} %)`,
      verdict: verdictOf(atRest, 0.3),
      values: { percent: atRest, bare: bareAtRest },
    },
    {
      what: "idle processor time with its pages kept at hand",
      budget: "< 0.3 %",
      measured: `${digits(own)} % (bare Node ${digits(bareOwn)} %)`,
      verdict: verdictOf(own, 0.3),
      values: { percent: own, bare: bareOwn },
    },
  ];
}

/** What the machine takes for waking a process that then does nothing. */
function bareNode(): { readonly pid: number } & Disposable {
  const child = spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)"], { stdio: "ignore" });
  if (child.pid === undefined) throw new Error(`${process.execPath} does not start`);
  return { pid: child.pid, [Symbol.dispose]: () => void child.kill("SIGKILL") };
}
