import { spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import type { BenchContext, Benchmark } from "../context.ts";
import type { BenchDaemon } from "../daemon.ts";
import { interleave } from "../load.ts";
import { verdictOf, type Row } from "../report.ts";
import { digits, ms, summarize } from "../stats.ts";

/** A build's log: text, with an end of line about every 90 bytes, which is what JSON has to escape. */
const line = "2026-11-23T04:15:47.123Z info  compiled packages/daemon/src/commands/output.ts in 12 ms\n";
const mebibyte = 2 ** 20;
/** `cat` is given the same file this often. */
const fileBytes = 50 * mebibyte;

/** The output of one command to one reader, from the start of the command to its `command/exited`; and how soon a reader is attached. */
export const outputBench: Benchmark = { name: "output", run };

/** `base64` is what hl-client asks for; `auto` is text, and what a caller gets that asks for nothing. */
const ways = ["base64", "auto", "hl-client"] as const;
type Way = (typeof ways)[number];

async function run(context: BenchContext): Promise<Row[]> {
  const daemon = await context.startDaemon({
    // All of it is kept, so that no byte may be skipped however slow the reader is.
    config: { process_management: { log_bytes_max: 4096 * mebibyte } },
  });
  writeFileSync(join(daemon.workspace, "log"), line.repeat(fileBytes / line.length + 1).slice(0, fileBytes));
  for (const way of ways) await transfer(daemon, way, 1);
  const rows: Row[] = [];
  const sizes: [string, number, number][] = [["50 MiB", 1, context.quick ? 3 : 7]];
  if (!context.quick) sizes.push(["1 GiB", 20, 2]);
  for (const [name, files, rounds] of sizes) rows.push(...(await compare(daemon, name, files, rounds)));
  rows.push(await attachRow(daemon, context.quick ? 20 : 100));
  rows.push(await restartRow(context));
  return rows;
}

/** The ways take turns, so that what else the machine does hits all of them. */
async function compare(daemon: BenchDaemon, name: string, files: number, rounds: number): Promise<Row[]> {
  const before = daemon.statusKb("VmRSS");
  const cpu: Record<string, number> = {};
  let peakKb = 0;
  const side = (way: Way) => async (): Promise<number[]> => {
    const cpuBefore = daemon.cpuMs();
    const { megabytesPerSecond, rssPeakKb } = await transfer(daemon, way, files);
    cpu[way] = (cpu[way] ?? 0) + (daemon.cpuMs() - cpuBefore) / ((rounds * files * fileBytes) / 1e6);
    peakKb = Math.max(peakKb, rssPeakKb);
    return [megabytesPerSecond];
  };
  const speeds = await interleave(rounds, Object.fromEntries(ways.map((way) => [way, side(way)])));
  const grown = (peakKb - before) / 1024;
  const rows = ways.map((way): Row => {
    const { p50: median, max: best } = summarize(speeds[way] ?? []);
    const cpuMsPerMegabyte = cpu[way] ?? Number.NaN;
    return {
      what: `output of one command to ${way === "hl-client" ? "hl-client's pipe" : `a reader, ${way}`}, ${name}`,
      budget: way === "base64" ? "≥ 500 MB/s" : "",
      measured: `${digits(median)} MB/s (best ${digits(best)}; ${digits(cpuMsPerMegabyte)} ms of the daemon's processor time a MB)`,
      verdict: way === "base64" ? verdictOf(median, 500, "least") : "info",
      values: { median, best, cpuMsPerMegabyte },
    };
  });
  const growth: Row = {
    what: `growth of the daemon's RSS meanwhile, ${name}`,
    budget: "< 32 MB",
    measured: `${digits(grown)} MB`,
    verdict: verdictOf(grown, 32),
    values: { megabytes: grown },
  };
  return [...rows, growth];
}

interface Transfer {
  readonly megabytesPerSecond: number;
  readonly rssPeakKb: number;
}

let commandNumber = 0;

async function transfer(daemon: BenchDaemon, way: Way, files: number): Promise<Transfer> {
  let rssPeakKb = 0;
  const watch = setInterval(() => (rssPeakKb = Math.max(rssPeakKb, daemon.statusKb("VmRSS"))), 50);
  const startedAt = performance.now();
  try {
    if (way === "hl-client") await throughClient(daemon, files);
    else await throughSocket(daemon, way, files);
  } finally {
    clearInterval(watch);
  }
  const seconds = (performance.now() - startedAt) / 1000;
  const megabytesPerSecond = (files * fileBytes) / seconds / 1e6;
  return { megabytesPerSecond, rssPeakKb: Math.max(rssPeakKb, daemon.statusKb("VmRSS")) };
}

const logs = (files: number): string[] => Array.from({ length: files }, () => "log");

/** The reader only looks for the end: taking the JSON apart is the time of a client, and each has its own. */
async function throughSocket(daemon: BenchDaemon, encoding: string, files: number): Promise<void> {
  const client = await daemon.connect();
  const ended = Promise.withResolvers<undefined>();
  let tail = Buffer.alloc(0);
  let received = 0;
  client.onBytes = (chunk) => {
    received += chunk.length;
    tail = Buffer.concat([tail, chunk.subarray(-512)]).subarray(-512);
    if (tail.includes('"ended_at":') && tail.at(-1) === 0x0a) ended.resolve(undefined);
  };
  const command = { command_id: `output-${++commandNumber}`, command: "cat", args: logs(files), stream_output: true };
  client.send("command/execute", JSON.stringify({ ...command, output_encoding: encoding })).catch(() => {});
  const late = setTimeout(() => ended.reject(new Error("the output has not come within two minutes")), 120_000);
  await ended.promise;
  clearTimeout(late);
  client.close();
  if (received < files * fileBytes) throw new Error(`only ${received} bytes have come`);
}

/** The whole program, its start included, as a script uses it: `hl-client exec … | …`. */
async function throughClient(daemon: BenchDaemon, files: number): Promise<void> {
  const client = resolve(import.meta.dirname, "../../bin/hl-client");
  const child = spawn(client, ["exec", "--", "cat", ...logs(files)], {
    stdio: ["ignore", "pipe", "inherit"],
    env: { PATH: process.env["PATH"], HL_DAEMON_HOME: daemon.home },
  });
  let received = 0;
  child.stdout.on("data", (chunk: Buffer) => (received += chunk.length));
  const code = await new Promise((resolveEnd) => child.once("close", resolveEnd));
  if (code !== 0 || received !== files * fileBytes)
    throw new Error(`hl-client ended with ${String(code)}, ${received} bytes`);
}

/** From `command/subscribe` at the end of 50 MiB of a command's log to the first byte. */
async function attachRow(daemon: BenchDaemon, times: number): Promise<Row> {
  const client = await daemon.connect();
  const id = `attach-${++commandNumber}`;
  await client.request("command/execute", { command_id: id, command: "cat", args: ["log"] });
  const offset = fileBytes - 1;
  const samples: number[] = [];
  for (let count = 0; count < times; count += 1) {
    const came = Promise.withResolvers<undefined>();
    client.onNotification = (text) => {
      if (text.includes('"method":"command/output"')) came.resolve(undefined);
    };
    const startedAt = performance.now();
    client.request("command/subscribe", { command_id: id, offset }).catch(came.reject);
    await came.promise;
    samples.push(performance.now() - startedAt);
  }
  client.close();
  const { p50, p99, max } = summarize(samples);
  return {
    what: "from command/subscribe at the end of a log of 50 MiB to the first byte",
    budget: "",
    measured: `p50 ${ms(p50)}, p99 ${ms(p99)}`,
    verdict: "info",
    values: { p50, p99, max },
  };
}

/** From the ready line of a daemon that was started again to the first byte of a command that has outlived the one before. */
async function restartRow(context: BenchContext): Promise<Row> {
  const first = await context.startDaemon();
  const before = await first.connect();
  before.onNotification = () => {};
  await before.request("command/execute", { command_id: "stays", command: "cat", stdin: true, stream_output: true });
  const { home } = first;
  await first.kill();
  const second = await context.startDaemon({ home });
  const client = await second.connect();
  const came = Promise.withResolvers<undefined>();
  client.onNotification = (text) => {
    if (text.includes('"method":"command/output"')) came.resolve(undefined);
  };
  const startedAt = performance.now();
  await client.request("command/subscribe", { command_id: "stays" });
  await client.request("command/input", { command_id: "stays", data: "back\n" });
  await came.promise;
  const attachMs = performance.now() - startedAt;
  await client.request("command/cancel", { command_id: "stays", grace: 0 });
  return {
    what: "after the daemon was killed: start of the next one, and then attached to a command with a byte through it",
    budget: "",
    measured: `${ms(second.startMs)}, then ${ms(attachMs)}`,
    verdict: "info",
    values: { startMs: second.startMs, attachMs },
  };
}
