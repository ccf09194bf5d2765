/**
 * `npm run fuzz -- [--seconds N] [--seed N] [--write] [--blind] [TARGET…]`: fuzzes each target for so long, from what was kept before. `--write`
 * keeps what has reached something new; `--blind` looks for nothing new and tries far more. Each target has a process of its own: one that hangs is ended and told with the seed that led there.
 */
import { fork } from "node:child_process";
import { parseArgs } from "node:util";
import { readCorpus, writeCorpus } from "./corpus.ts";
import { fuzz } from "./fuzzer.ts";
import { targets } from "./targets.ts";

const silenceMsMax = 30_000;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seconds: { type: "string", default: "30" },
    seed: { type: "string", default: String(Date.now() % 2 ** 32) },
    write: { type: "boolean", default: false },
    blind: { type: "boolean", default: false },
    inside: { type: "boolean", default: false },
  },
});
const unknown = positionals.find((name) => !Object.hasOwn(targets, name));
if (unknown !== undefined) {
  process.stderr.write(
    `fuzz: there is no target ${JSON.stringify(unknown)}; there are ${Object.keys(targets).join(", ")}\n`,
  );
  process.exitCode = 64;
} else if (values.inside) await fuzzHere(positionals[0] ?? "");
else await fuzzAll(positionals.length === 0 ? Object.keys(targets) : positionals);

async function fuzzAll(names: readonly string[]): Promise<void> {
  for (const name of names) {
    const child = fork(import.meta.filename, [
      ...process.argv.slice(2).filter((word) => !names.includes(word)),
      "--inside",
      name,
    ]);
    const silence = (): NodeJS.Timeout =>
      setTimeout(() => {
        process.stdout.write(`${name}: HANG: nothing for ${silenceMsMax} ms, seed ${values.seed}\n`);
        child.kill("SIGKILL");
      }, silenceMsMax);
    let timer = silence();
    child.on("message", () => {
      clearTimeout(timer);
      timer = silence();
    });
    const code = await new Promise<number | null>((resolve) => child.once("exit", resolve));
    clearTimeout(timer);
    if (code !== 0) process.exitCode = 1;
  }
}

async function fuzzHere(name: string): Promise<void> {
  const target = targets[name];
  if (target === undefined) return;
  const startedAt = performance.now();
  const untilMs = startedAt + Number(values.seconds) * 1000;
  const outcome = await fuzz(target, {
    seed: Number(values.seed),
    inputsMax: Infinity,
    untilMs,
    guided: !values.blind,
    corpus: readCorpus(name),
    onBatch: () => void process.send?.("alive"),
  });
  const { inputs, coverage, kept, findings } = outcome;
  const seconds = (performance.now() - startedAt) / 1000;
  const crashes = findings.filter(({ kind }) => kind === "crash").length;
  process.stdout.write(
    `${name.padEnd(18)} ${String(inputs).padStart(9)} inputs, ${Math.round(inputs / seconds)}/s, ${coverage} parts reached, ${kept.length} kept, crashes ${crashes}, hangs ${findings.length - crashes}\n`,
  );
  for (const { kind, input, what } of findings)
    process.stdout.write(`  ${kind}: ${JSON.stringify(input.toString("latin1"))}\n  ${what}\n`);
  if (values.write && !values.blind) writeCorpus(name, kept);
  process.disconnect();
  if (findings.length > 0) process.exitCode = 1;
}
