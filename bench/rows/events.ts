import type { BenchContext, Benchmark } from "../context.ts";
import { closedLoop } from "../load.ts";
import { loopDelayArguments, loopDelaysOf } from "../loop-delay.ts";
import { verdictOf, type Row } from "../report.ts";
import { digits, ms, summarize } from "../stats.ts";

const connections = 4;
/** Enough for groups that fill while the disk is busy; more of them only wait longer for the same rate. */
const inFlight = 40;

/** `event/stream` answered `accepted`: each answer means that the event is on disk (S1). */
export const eventsBench: Benchmark = { name: "events", run };

async function run(context: BenchContext): Promise<Row[]> {
  const daemon = await context.startDaemon({ nodeArguments: loopDelayArguments });
  const clients = await Promise.all(Array.from({ length: connections }, () => daemon.connect()));
  let number = 0;
  const accept = async (worker: number): Promise<void> => {
    const id = `event-${++number}`;
    const params = `{"event_id":"${id}","event_type":"bench.sample","timestamp":${Date.now() / 1000},"data":{"text":"a hundred bytes or so, as an ordinary event has them, with a number","number":${number}}}`;
    const answer = await clients[worker % connections]!.send("event/stream", params);
    if (!answer.includes('"accepted"')) throw new Error(answer);
  };
  const ping = await daemon.connect();
  await closedLoop({ atOnce: connections * inFlight, durationMs: 1_000 }, accept);
  const durationMs = context.quick ? 2_000 : 10_000;
  const cpuBefore = daemon.cpuMs();
  const from = Date.now();
  const [load, pings] = await Promise.all([
    closedLoop({ atOnce: connections * inFlight, durationMs }, accept),
    closedLoop({ atOnce: 1, durationMs }, async () => {
      await ping.send("system/ping", "{}");
      await new Promise((resolve) => setTimeout(resolve, 5));
    }),
  ]);
  const cpuShare = (daemon.cpuMs() - cpuBefore) / durationMs;
  const until = Date.now();
  const loopLate = summarize(loopDelaysOf(daemon.home, from, until));
  const alone = await closedLoop({ atOnce: 1, count: context.quick ? 100 : 500 }, accept);
  const times = summarize(load.samples);
  const single = summarize(alone.samples);
  const pinged = summarize(pings.samples.map((sample) => Math.max(0, sample - 5)));
  return [
    {
      what: `events accepted durably, ${connections * inFlight} in flight on ${connections} connections`,
      budget: "≥ 20,000 /s",
      measured: `${digits(load.perSecond)} /s (the daemon used ${Math.round(100 * cpuShare)} % of a core)`,
      verdict: verdictOf(load.perSecond, 20_000, "least"),
      values: { perSecond: load.perSecond, cpuShare },
    },
    {
      what: "time to `accepted` meanwhile",
      budget: "p99 < 20 ms",
      measured: `p99 ${ms(times.p99)}, p50 ${ms(times.p50)}`,
      verdict: verdictOf(times.p99, 20),
      values: { p50: times.p50, p99: times.p99, max: times.max },
    },
    {
      what: "delay of the event loop meanwhile, p99 of each second (perf_hooks)",
      budget: "p99 < 20 ms",
      measured: `median ${ms(loopLate.p50)}, worst ${ms(loopLate.max)}`,
      verdict: verdictOf(loopLate.p50, 20),
      values: { median: loopLate.p50, worst: loopLate.max },
    },
    {
      what: "one event at a time",
      budget: "",
      measured: `p50 ${ms(single.p50)}, p99 ${ms(single.p99)}`,
      verdict: "info",
      values: { p50: single.p50, p99: single.p99 },
    },
    {
      what: "delay of the event loop meanwhile (a ping on another connection)",
      budget: "",
      measured: `p99 ${ms(pinged.p99)}, p50 ${ms(pinged.p50)}`,
      verdict: "info",
      values: { p50: pinged.p50, p99: pinged.p99 },
    },
  ];
}
