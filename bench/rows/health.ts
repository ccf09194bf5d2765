import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import type { BenchContext, Benchmark } from "../context.ts";
import type { BenchDaemon } from "../daemon.ts";
import { getRequest, HttpClient } from "../http-client.ts";
import { loopDelayArguments, loopDelaysOf } from "../loop-delay.ts";
import { verdictOf, type Row } from "../report.ts";
import { digits, ms, summarize, type Summary } from "../stats.ts";

const floods = 32;
const programs = resolve(import.meta.dirname, "../programs");

/**
 * `GET /health` while nothing happens, and while 32 commands write as fast as they can with a reader on each. A bare HTTP server is asked
 * in turn: what it needs is what the machine makes everybody wait for a processor.
 */
export const healthBench: Benchmark = { name: "health", run };

async function run(context: BenchContext): Promise<Row[]> {
  // Small logs: what counts is that they are written, not how much of the disk they fill.
  const daemon = await context.startDaemon({
    config: { process_management: { log_bytes_max: 8 * 2 ** 20 } },
    nodeArguments: loopDelayArguments,
  });
  await using bare = await BareServer.start();
  const durationMs = context.quick ? 3_000 : 10_000;
  await ask(daemon, bare, 500);
  const idle = await ask(daemon, bare, durationMs);
  const rows = [row("GET /health, idle", 5, idle, "")];
  for (const encoding of ["base64", "auto"] as const) rows.push(...(await flooded(daemon, bare, encoding, durationMs)));
  return rows;
}

async function flooded(daemon: BenchDaemon, bare: BareServer, encoding: string, durationMs: number): Promise<Row[]> {
  const client = await daemon.connect();
  let bytes = 0;
  const ids = Array.from({ length: floods }, (_, index) => `flood-${encoding}-${index}`);
  for (const id of ids) {
    const command = { command_id: id, command: "yes", stream_output: true, output_encoding: encoding };
    await client.request("command/execute", command);
  }
  client.onBytes = (chunk) => (bytes += chunk.length);
  const from = Date.now();
  const before = readFileSync(`/proc/${daemon.pid}/schedstat`, "utf8").split(" ").map(Number);
  const startedAt = performance.now();
  const busy = await ask(daemon, bare, durationMs);
  const seconds = (performance.now() - startedAt) / 1000;
  const after = readFileSync(`/proc/${daemon.pid}/schedstat`, "utf8").split(" ").map(Number);
  const megabytesPerSecond = bytes / seconds / 1e6;
  const share = (at: number): number => ((after[at] ?? 0) - (before[at] ?? 0)) / 1e9 / seconds;
  const late = summarize(loopDelaysOf(daemon.home, from, Date.now()));
  client.onBytes = undefined;
  client.close();
  const control = await daemon.connect();
  await Promise.all(ids.map((id) => control.request("command/cancel", { command_id: id, grace: 0 })));
  const beside = `; ${digits(megabytesPerSecond)} MB/s read by one client meanwhile, ${2 * floods} busy processes on ${availableParallelism()} cores beside the daemon`;
  return [
    row(`GET /health, ${floods} commands flooding output, ${encoding}`, 50, busy, beside),
    {
      what: `delay of the event loop meanwhile, ${encoding}, p99 of each second`,
      budget: "",
      measured: `median ${ms(late.p50)}, worst ${ms(late.max)}; it ran ${Math.round(100 * share(0))} % of the time and waited ${Math.round(100 * share(1))} % for a processor`,
      verdict: "info",
      values: { median: late.p50, worst: late.max, ran: share(0), waited: share(1), megabytesPerSecond },
    },
  ];
}

interface Asked {
  readonly daemon: Summary;
  readonly bare: Summary;
}

/** One request after the other on one connection to each, in turns. */
async function ask(daemon: BenchDaemon, bare: BareServer, durationMs: number): Promise<Asked> {
  const sides = [daemon.http, bare.address].map(async (address, index) => ({
    connection: await HttpClient.connect(address),
    request: getRequest(address, index === 0 ? "/health" : "/"),
    samples: [] as number[],
  }));
  const both = await Promise.all(sides);
  const startedAt = performance.now();
  while (performance.now() - startedAt < durationMs) {
    for (const { connection, request, samples } of both) {
      const at = performance.now();
      await connection.send(request);
      samples.push(performance.now() - at);
    }
  }
  for (const { connection } of both) connection.close();
  const [ours, theirs] = both.map(({ samples }) => summarize(samples)) as [Summary, Summary];
  return { daemon: ours, bare: theirs };
}

function row(what: string, budgetMs: number, { daemon, bare }: Asked, beside: string): Row {
  const { p50, p99, max, count } = daemon;
  return {
    what,
    budget: `p99 < ${budgetMs} ms`,
    measured: `p99 ${ms(p99)}, p50 ${ms(p50)}, max ${ms(max)} (a bare HTTP server: p99 ${ms(bare.p99)}, p50 ${ms(bare.p50)})${beside}`,
    verdict: verdictOf(p99, budgetMs),
    values: { p50, p99, max, count, bareP50: bare.p50, bareP99: bare.p99 },
  };
}

class BareServer implements AsyncDisposable {
  readonly address: string;
  readonly #end: () => Promise<unknown>;

  constructor(address: string, end: () => Promise<unknown>) {
    this.address = address;
    this.#end = end;
  }

  /** In a session of its own, as the daemon is: that is what the kernel's scheduler goes by. */
  static async start(): Promise<BareServer> {
    const child = spawn(process.execPath, [join(programs, "bare-http.ts")], {
      stdio: ["pipe", "pipe", "inherit"],
      detached: true,
    });
    const ended = new Promise((resolveEnd) => child.once("exit", resolveEnd));
    const address = await new Promise<string>((resolveLine) =>
      createInterface({ input: child.stdout }).once("line", resolveLine),
    );
    return new BareServer(address, () => {
      child.stdin.end();
      return ended;
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#end();
  }
}
