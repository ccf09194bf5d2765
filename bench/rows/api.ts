import type { BenchContext, Benchmark } from "../context.ts";
import { HttpClient, rpcRequest } from "../http-client.ts";
import { closedLoop } from "../load.ts";
import { verdictOf, type Row } from "../report.ts";
import { digits, ms, summarize } from "../stats.ts";

const connections = 16;

/** `system/ping` as fast as it goes. The client runs on another core and is not the limit; the daemon's own share is shown. */
export const apiBench: Benchmark = { name: "api", run };

async function run(context: BenchContext): Promise<Row[]> {
  const daemon = await context.startDaemon();
  const durationMs = context.quick ? 2_000 : 8_000;
  const pool = await Promise.all(Array.from({ length: connections }, () => HttpClient.connect(daemon.http)));
  const request = rpcRequest(daemon.http, daemon.token, "system/ping");
  const clients = await Promise.all(Array.from({ length: connections }, () => daemon.connect()));
  const overHttp = (worker: number): Promise<unknown> => pool[worker]!.send(request);
  const overSocket = (worker: number): Promise<unknown> => clients[worker % connections]!.send("system/ping", "{}");
  const rows: Row[] = [];
  for (const [what, atOnce, work] of [
    [`system/ping over HTTP, ${connections} keep-alive connections`, connections, overHttp],
    [`system/ping over the socket, ${connections} connections, 64 in flight`, 64, overSocket],
  ] as const) {
    await closedLoop({ atOnce, durationMs: 1_000 }, work);
    const cpuBefore = daemon.cpuMs();
    const load = await closedLoop({ atOnce, durationMs }, work);
    const cpuMs = daemon.cpuMs() - cpuBefore;
    const perCoreSecond = (1000 * load.samples.length) / cpuMs;
    const times = summarize(load.samples);
    rows.push({
      what,
      budget: "≥ 10,000 /s a core",
      measured: `${digits(perCoreSecond)} a second of the daemon's processor time (${digits(load.perSecond)} /s; p50 ${ms(times.p50)}, p99 ${ms(times.p99)})`,
      verdict: verdictOf(perCoreSecond, 10_000, "least"),
      values: { perSecond: load.perSecond, perCoreSecond, p50: times.p50, p99: times.p99 },
    });
  }
  for (const connection of pool) connection.close();
  return rows;
}
