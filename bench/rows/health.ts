import { availableParallelism } from "node:os";
import type { BenchContext, Benchmark } from "../context.ts";
import type { BenchDaemon } from "../daemon.ts";
import { getRequest, HttpClient } from "../http-client.ts";
import { closedLoop } from "../load.ts";
import { verdictOf, type Row } from "../report.ts";
import { ms, summarize, type Summary } from "../stats.ts";

const floods = 32;

/** `GET /health` while nothing happens, and while 32 commands write as fast as they can with a reader on each. */
export const healthBench: Benchmark = { name: "health", run };

async function run(context: BenchContext): Promise<Row[]> {
  // Small logs: what counts is that they are written, not how much of the disk they fill.
  const daemon = await context.startDaemon({ config: { process_management: { log_bytes_max: 8 * 2 ** 20 } } });
  const durationMs = context.quick ? 2_000 : 10_000;
  await ask(daemon, 500);
  const idle = await ask(daemon, durationMs);
  const client = await daemon.connect();
  let bytes = 0;
  client.onBytes = undefined;
  const started: string[] = [];
  for (let index = 0; index < floods; index += 1) {
    started.push(`flood-${index}`);
    await client.request("command/execute", { command_id: `flood-${index}`, command: "yes", stream_output: true });
  }
  client.onBytes = (chunk) => (bytes += chunk.length);
  const startedAt = performance.now();
  const busy = await ask(daemon, durationMs);
  const seconds = (performance.now() - startedAt) / 1000;
  client.onBytes = undefined;
  const control = await daemon.connect();
  await Promise.all(started.map((id) => control.request("command/cancel", { command_id: id, grace: 0 })));
  return [
    row("GET /health, idle", 5, idle, ""),
    row(
      `GET /health, ${floods} commands flooding output`,
      50,
      busy,
      `; ${Math.round(bytes / seconds / 1e6)} MB/s read by one client meanwhile, ${2 * floods} busy processes on ${availableParallelism()} cores beside the daemon`,
    ),
  ];
}

/** One request after the other on one connection. */
async function ask(daemon: BenchDaemon, durationMs: number): Promise<Summary> {
  const connection = await HttpClient.connect(daemon.http);
  const request = getRequest(daemon.http, "/health");
  const { samples } = await closedLoop({ atOnce: 1, durationMs }, () => connection.send(request));
  connection.close();
  return summarize(samples);
}

function row(what: string, budgetMs: number, times: Summary, beside: string): Row {
  return {
    what,
    budget: `p99 < ${budgetMs} ms`,
    measured: `p99 ${ms(times.p99)}, p50 ${ms(times.p50)}, max ${ms(times.max)}${beside}`,
    verdict: verdictOf(times.p99, budgetMs),
    values: { p50: times.p50, p99: times.p99, max: times.max, count: times.count },
  };
}
