import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { BenchContext, Benchmark } from "../context.ts";
import type { BenchDaemon } from "../daemon.ts";
import { verdictOf, type Row } from "../report.ts";
import { digits } from "../stats.ts";

/** A build's log: text, with an end of line about every 90 bytes, which is what JSON has to escape. */
const line = "2026-11-23T04:15:47.123Z info  compiled packages/daemon/src/commands/output.ts in 12 ms\n";
const mebibyte = 2 ** 20;
/** `cat` is given the same file this often. */
const fileBytes = 50 * mebibyte;

/** The output of one command to one reader on the socket, from the start of the command to its `command/exited`. */
export const outputBench: Benchmark = { name: "output", run };

async function run(context: BenchContext): Promise<Row[]> {
  const daemon = await context.startDaemon({
    // All of it is kept, so that no byte may be skipped however slow the reader is.
    config: { process_management: { log_bytes_max: 4096 * mebibyte } },
  });
  writeFileSync(join(daemon.workspace, "log"), line.repeat(fileBytes / line.length + 1).slice(0, fileBytes));
  await transfer(daemon, 1);
  const rows: Row[] = [];
  const sizes: [string, number, number][] = [["50 MiB", 1, context.quick ? 3 : 7]];
  if (!context.quick) sizes.push(["1 GiB", 20, 2]);
  for (const [name, files, times] of sizes) {
    const before = daemon.statusKb("VmRSS");
    const cpuBefore = daemon.cpuMs();
    const runs: Transfer[] = [];
    for (let round = 0; round < times; round += 1) runs.push(await transfer(daemon, files));
    const cpuMs = (daemon.cpuMs() - cpuBefore) / ((times * files * fileBytes) / 1e6);
    const best = Math.max(...runs.map((one) => one.megabytesPerSecond));
    const median = runs.map((one) => one.megabytesPerSecond).sort((a, b) => a - b)[Math.floor(times / 2)]!;
    const grown = (Math.max(...runs.map((one) => one.rssPeakKb)) - before) / 1024;
    rows.push(
      {
        what: `output of one command to a reader, ${name}`,
        budget: "≥ 500 MB/s",
        measured: `${digits(median)} MB/s (best ${digits(best)}; ${digits(cpuMs)} ms of the daemon's processor time a MB)`,
        verdict: verdictOf(median, 500, "least"),
        values: { median, best, cpuMsPerMegabyte: cpuMs },
      },
      {
        what: `growth of the daemon's RSS meanwhile, ${name}`,
        budget: "< 32 MB",
        measured: `${digits(grown)} MB`,
        verdict: verdictOf(grown, 32),
        values: { megabytes: grown },
      },
    );
  }
  return rows;
}

interface Transfer {
  readonly megabytesPerSecond: number;
  readonly rssPeakKb: number;
}

let transferNumber = 0;

/** The reader only looks for the end: taking the JSON apart is the time of a client, and each has its own. */
async function transfer(daemon: BenchDaemon, files: number): Promise<Transfer> {
  const bytes = files * fileBytes;
  const client = await daemon.connect();
  const ended = Promise.withResolvers<undefined>();
  let tail = Buffer.alloc(0);
  let received = 0;
  const params = {
    command_id: `output-${++transferNumber}`,
    command: "cat",
    args: Array.from({ length: files }, () => "log"),
    stream_output: true,
  };
  let rssPeakKb = 0;
  const watch = setInterval(() => (rssPeakKb = Math.max(rssPeakKb, daemon.statusKb("VmRSS"))), 50);
  const startedAt = performance.now();
  client.send("command/execute", JSON.stringify(params)).catch(() => {});
  client.onBytes = (chunk) => {
    received += chunk.length;
    tail = Buffer.concat([tail, chunk]).subarray(-512);
    if (tail.includes('"ended_at":') && tail.at(-1) === 0x0a) ended.resolve(undefined);
  };
  const late = setTimeout(() => ended.reject(new Error("the output has not come within two minutes")), 120_000);
  await ended.promise;
  clearTimeout(late);
  const seconds = (performance.now() - startedAt) / 1000;
  clearInterval(watch);
  client.close();
  if (received < bytes) throw new Error(`only ${received} of ${bytes} bytes have come`);
  return { megabytesPerSecond: bytes / seconds / 1e6, rssPeakKb: Math.max(rssPeakKb, daemon.statusKb("VmRSS")) };
}
