import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import type { BenchContext, Benchmark } from "./context.ts";
import { BenchDaemon } from "./daemon.ts";
import { environmentOf, loadNow, markdown, tableText, type Result } from "./report.ts";
import { apiBench } from "./rows/api.ts";
import { eventsBench } from "./rows/events.ts";
import { execBench } from "./rows/exec.ts";
import { filesBench } from "./rows/files.ts";
import { fleetBench } from "./rows/fleet.ts";
import { floodBench } from "./rows/flood.ts";
import { healthBench } from "./rows/health.ts";
import { idleBench } from "./rows/idle.ts";
import { manyBench } from "./rows/many.ts";
import { outputBench } from "./rows/output.ts";
import { relayBench } from "./rows/relay.ts";

const benchmarks: readonly Benchmark[] = [
  execBench,
  manyBench,
  healthBench,
  eventsBench,
  apiBench,
  relayBench,
  outputBench,
  filesBench,
  fleetBench,
  floodBench,
  idleBench,
];

const vmsDefault = 200;

const usage = `Usage: npm run bench -- [--quick] [--vms N] [NAME]...

Measures the budgets on this machine and prints a table. Nothing is asserted: a number is a fact about a machine and a day.
  --quick      fewer rounds: good for a look, not for a comparison; writes no files
  NAME         ${benchmarks.map((benchmark) => benchmark.name).join(", ")}; --only NAME says the same
  --tls        \`fleet\` speaks TLS 1.3 with a P-256 certificate
  --vms N      simulated daemons of \`fleet\`, ${vmsDefault} unless given; 5000 need a limit of 20000 open files
A run without --quick writes bench/results/NAME.json and bench/results.md; commit them only for a deliberate run.
`;

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      vms: { type: "string", default: String(vmsDefault) },
      quick: { type: "boolean", default: false },
      tls: { type: "boolean", default: false },
      only: { type: "string", multiple: true, default: [] },
      help: { type: "boolean", default: false },
    },
  });
  const names = [...positionals, ...values.only];
  const unknown = names.find((name) => !benchmarks.some((benchmark) => benchmark.name === name));
  const vms = Number(values.vms);
  const problem =
    unknown !== undefined
      ? `there is no ${JSON.stringify(unknown)}`
      : !Number.isInteger(vms) || vms < 1
        ? `--vms ${values.vms} is not a number of VMs`
        : undefined;
  if (values.help || problem !== undefined) {
    process.stdout.write(problem === undefined ? usage : `bench: ${problem}\n\n${usage}`);
    process.exitCode = problem === undefined ? 0 : 64;
    return;
  }
  const chosen = benchmarks.filter(({ name }) => names.length === 0 || names.includes(name));
  execFileSync("sh", [resolve(import.meta.dirname, "../scripts/build-native.sh")], { stdio: "inherit" });
  const results: Result[] = [];
  const { quick, tls } = values;
  for (const benchmark of chosen) results.push(await runOne(benchmark, { quick, tls, vms }));
  process.stdout.write(`${tableText(results.flatMap((result) => result.rows))}\n`);
  if (!values.quick) writeResults(results);
}

/** Each benchmark has a folder and daemons of its own, gone when it ends, however it ends. */
async function runOne(benchmark: Benchmark, flags: Pick<BenchContext, "quick" | "tls" | "vms">): Promise<Result> {
  process.stderr.write(`${benchmark.name} …\n`);
  const loadBefore = loadNow();
  // /tmp may be a tmpfs, where durable writes look free; /var/tmp is on a disk.
  const directory = mkdtempSync("/var/tmp/hl-bench-");
  await using stack = new AsyncDisposableStack();
  stack.defer(() => rmSync(directory, { recursive: true, force: true }));
  let daemons = 0;
  const context: BenchContext = {
    ...flags,
    directory,
    startDaemon: async (options) =>
      stack.use(await BenchDaemon.start(options?.home ?? join(directory, `d${daemons++}`), options)),
    program: (name) => {
      const output = join(directory, name);
      execFileSync("cc", ["-O2", "-o", output, resolve(import.meta.dirname, `native/${name}.c`)]);
      return output;
    },
  };
  const rows = await benchmark.run(context);
  return { name: benchmark.name, environment: environmentOf(flags.quick, new Date(), loadBefore), rows };
}

function writeResults(results: readonly Result[]): void {
  const folder = resolve(import.meta.dirname, "results");
  mkdirSync(folder, { recursive: true });
  for (const result of results)
    writeFileSync(join(folder, `${result.name}.json`), `${JSON.stringify(result, null, 2)}\n`);
  const all = readdirSync(folder).filter((name) => name.endsWith(".json"));
  const read = all.map((name) => JSON.parse(readFileSync(join(folder, name), "utf8")) as Result);
  const order = benchmarks.map((benchmark) => benchmark.name);
  read.sort((a, b) => order.indexOf(a.name) - order.indexOf(b.name));
  writeFileSync(resolve(import.meta.dirname, "results.md"), markdown(read));
}

await main();
