import { spawn } from "node:child_process";
import { readFileSync, readdirSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import { text } from "node:stream/consumers";
import type { BenchContext, Benchmark } from "../context.ts";
import type { BenchDaemon } from "../daemon.ts";
import { HttpClient, rpcRequest } from "../http-client.ts";
import { verdictOf, type Row } from "../report.ts";
import type { RpcClient } from "../rpc-client.ts";
import { digits, ms, summarize, type Summary } from "../stats.ts";

const program = resolve(import.meta.dirname, "../programs/flood.ts");
const requestsPerSecond = 10_000;
const askEveryMs = 10;
const p99Budget = 50;

/**
 * `system/health` with a token over both interfaces, a hundred times a second, first in peace and then while another process sends 10 000
 * requests of garbage a second to one of them, for a minute or HL_BENCH_FLOOD_SECONDS. Memory, log and events are looked at before and after.
 * The daemon is in test mode and so writes a stack trace into each refusal, which it does not otherwise.
 */
export const floodBench: Benchmark = { name: "flood", run };

async function run(context: BenchContext): Promise<Row[]> {
  const daemon = await context.startDaemon();
  const seconds = Number(process.env["HL_BENCH_FLOOD_SECONDS"] ?? (context.quick ? 5 : 60));
  const socket = await daemon.connect();
  const http = await HttpClient.connect(daemon.http);
  const askers = askersOf(daemon, socket, http);
  await ask(askers, 1);
  const peace = await ask(askers, Math.min(seconds, 10));
  const rows: Row[] = [];
  for (const kind of ["socket", "http"] as const) rows.push(...(await flooded(daemon, kind, askers, peace, seconds)));
  socket.close();
  http.close();
  return rows;
}

interface Flooded {
  readonly requests: number;
  readonly opened: number;
  readonly received: number;
  readonly seconds: number;
  readonly cpuMs: number;
}

async function flooded(
  daemon: BenchDaemon,
  kind: "socket" | "http",
  askers: Askers,
  peace: Asked,
  seconds: number,
): Promise<Row[]> {
  const before = stateOf(daemon);
  const address = kind === "socket" ? daemon.socketPath : daemon.http;
  const args = [program, kind, address, String(requestsPerSecond), String(seconds)];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
  const output = text(child.stdout);
  const tenths: number[] = [];
  const sampler = setInterval(() => tenths.push(Math.round(daemon.statusKb("VmRSS") / 1024)), seconds * 100);
  const asked = await ask(askers, seconds, () => child.exitCode !== null);
  clearInterval(sampler);
  const said = JSON.parse(await output) as Flooded;
  const after = stateOf(daemon);
  const rate = said.requests / said.seconds;
  const cpuMs = after.cpuMs - before.cpuMs;
  const flood = `${Math.round(rate)} requests/s of garbage, ${Math.round(said.opened / said.seconds)} connections/s`;
  const rows = (["socket", "http"] as const).map((way): Row => {
    const [busy, calm] = [asked[way], peace[way]];
    return {
      what: `system/health over ${way}, ${kind} flooded`,
      budget: `p99 < ${p99Budget} ms`,
      measured: `p50 ${ms(busy.p50)}, p99 ${ms(busy.p99)}, max ${ms(busy.max)} of ${busy.count} (in peace p50 ${ms(calm.p50)}, p99 ${ms(calm.p99)}: p99 × ${digits(busy.p99 / calm.p99)}); ${flood}`,
      verdict: rate < 0.9 * requestsPerSecond ? "info" : verdictOf(busy.p99, p99Budget),
      values: { p50: busy.p50, p99: busy.p99, max: busy.max, calmP99: calm.p99, rate },
    };
  });
  const grownMb = (after.rssKb - before.rssKb) / 1024;
  rows.push({
    what: `the daemon meanwhile, ${kind} flooded`,
    budget: "memory and log bounded",
    measured: `${digits((cpuMs * 1000) / said.requests)} µs of its processor a request (${Math.round((cpuMs / said.seconds) * 0.1)} % of a core), RSS ${digits(after.rssKb / 1024)} MB (${grownMb >= 0 ? "+" : ""}${digits(grownMb)}; a tenth of the time after another ${tenths.join(" ")}), log +${after.logLines - before.logLines} lines, data +${digits((after.dataBytes - before.dataBytes) / 1024)} kB; the flood's own processor ${Math.round((said.cpuMs / said.seconds) * 0.1)} %`,
    verdict: "info",
    values: {
      cpuUsPerRequest: (cpuMs * 1000) / said.requests,
      rssMb: after.rssKb / 1024,
      grownMb,
      logLines: after.logLines - before.logLines,
    },
  });
  return rows;
}

interface State {
  readonly cpuMs: number;
  readonly rssKb: number;
  readonly logLines: number;
  readonly dataBytes: number;
}

function stateOf(daemon: BenchDaemon): State {
  const logs = join(daemon.home, "logs");
  const logLines = readdirSync(logs).reduce(
    (sum, name) => sum + readFileSync(join(logs, name), "utf8").split("\n").length - 1,
    0,
  );
  const data = join(daemon.home, "data/state");
  const dataBytes = readdirSync(data).reduce((sum, name) => sum + statSync(join(data, name)).size, 0);
  return { cpuMs: daemon.cpuMs(), rssKb: daemon.statusKb("VmRSS"), logLines, dataBytes };
}

type Askers = Readonly<Record<"socket" | "http", () => Promise<unknown>>>;
type Asked = Readonly<Record<"socket" | "http", Summary>>;

function askersOf(daemon: BenchDaemon, socket: RpcClient, http: HttpClient): Askers {
  const request = rpcRequest(daemon.http, daemon.token, "system/health");
  return { socket: () => socket.send("system/health", "{}"), http: () => http.send(request) };
}

/** Both ways in turns, at a pace: a question that waits does not keep the next one from being due. */
async function ask(askers: Askers, seconds: number, isOver: () => boolean = () => false): Promise<Asked> {
  const samples = { socket: [] as number[], http: [] as number[] };
  const endsAt = performance.now() + seconds * 1000;
  while (performance.now() < endsAt && !isOver()) {
    for (const way of ["socket", "http"] as const) {
      const at = performance.now();
      await askers[way]();
      samples[way].push(performance.now() - at);
    }
    await new Promise((resolveLater) => setTimeout(resolveLater, askEveryMs));
  }
  return { socket: summarize(samples.socket), http: summarize(samples.http) };
}
