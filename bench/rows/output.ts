import type { BenchContext, Benchmark } from "../context.ts";
import type { BenchDaemon } from "../daemon.ts";
import { verdictOf, type Row } from "../report.ts";
import { digits } from "../stats.ts";

/** The output of one command to one reader on the socket, from the start of the command to its `command/exited`. */
export const outputBench: Benchmark = { name: "output", run };

async function run(context: BenchContext): Promise<Row[]> {
  const daemon = await context.startDaemon({
    // All of it is kept, so that no byte may be skipped however slow the reader is.
    config: { process_management: { log_bytes_max: 4 * 2 ** 30 } },
  });
  await transfer(daemon, 10 * 2 ** 20);
  const rows: Row[] = [];
  const sizes: [string, number, number][] = [["50 MB", 50 * 2 ** 20, context.quick ? 3 : 7]];
  if (!context.quick) sizes.push(["1 GB", 2 ** 30, 2]);
  for (const [name, bytes, times] of sizes) {
    const before = daemon.statusKb("VmRSS");
    const runs: Transfer[] = [];
    for (let round = 0; round < times; round += 1) runs.push(await transfer(daemon, bytes));
    const best = Math.max(...runs.map((one) => one.megabytesPerSecond));
    const median = runs.map((one) => one.megabytesPerSecond).sort((a, b) => a - b)[Math.floor(times / 2)]!;
    const grown = (Math.max(...runs.map((one) => one.rssPeakKb)) - before) / 1024;
    rows.push(
      {
        what: `output of one command to a reader, ${name}`,
        budget: "≥ 500 MB/s",
        measured: `${digits(median)} MB/s (best ${digits(best)})`,
        verdict: verdictOf(median, 500, "least"),
        values: { median, best },
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
async function transfer(daemon: BenchDaemon, bytes: number): Promise<Transfer> {
  const client = await daemon.connect();
  const ended = Promise.withResolvers<undefined>();
  let tail = Buffer.alloc(0);
  let received = 0;
  const params = {
    command_id: `output-${++transferNumber}`,
    command: "head",
    args: ["-c", String(bytes), "/dev/zero"],
    stream_output: true,
  };
  let rssPeakKb = 0;
  const watch = setInterval(() => (rssPeakKb = Math.max(rssPeakKb, daemon.statusKb("VmRSS"))), 50);
  const startedAt = performance.now();
  client.send("command/execute", JSON.stringify(params)).catch(() => {});
  client.onBytes = (chunk) => {
    received += chunk.length;
    tail = Buffer.concat([tail, chunk]).subarray(-8192);
    if (tail.includes('"command/exited"') && tail.at(-1) === 0x0a) ended.resolve(undefined);
  };
  await ended.promise;
  const seconds = (performance.now() - startedAt) / 1000;
  clearInterval(watch);
  client.close();
  if (!tail.includes(`"stdout_bytes":${bytes},`))
    throw new Error(`not all of it was written: ${tail.toString("latin1")}`);
  if (received < bytes) throw new Error(`only ${received} of ${bytes} bytes have come`);
  return { megabytesPerSecond: bytes / seconds / 1e6, rssPeakKb: Math.max(rssPeakKb, daemon.statusKb("VmRSS")) };
}
