/**
 * `npm test`: every tier that needs no root, no virtual machine and no browser, or the named ones: `node scripts/test.ts unit native`.
 *
 * Builds the C program and installs the agents first where a tier needs them. A file that hangs is a failure and not a stuck CI.
 * Everything a tier's tests start lives below one temporary folder, so a process that a test leaves behind is seen, named and fails
 * the run. Tiers share the machine: where one has no further file, or may have no more at once, the next one's are begun.
 */
import { execFileSync, spawn } from "node:child_process";
import { chmodSync, globSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { isRunning, processesOf } from "@hl/testkit/processes.ts";
import { repositoryRoot } from "@hl/testkit/programs.ts";
import { ensureAgents } from "../tests/agents/install.ts";
import { bundlePrograms } from "./bundle.ts";
import { makeRelease } from "./release.ts";

interface Tier {
  readonly patterns: readonly string[];
  /** Files that take long, and mostly wait: begun before the others, so that they do not run on alone behind them. */
  readonly first?: readonly string[];
  /** Of this tier; without it as many as there are. */
  readonly filesAtOnceMax?: number;
  /** Not beside files of another tier, and one at a time. */
  readonly alone?: true;
  readonly fileMsMax: number;
  readonly needsAgents?: boolean;
  /** Made once, which takes minutes, and named to the files by HL_TEST_RELEASE. */
  readonly needsRelease?: boolean;
}

const minute = 60_000;

const processors = availableParallelism();
/** More than there are processors, since most files wait half of their time; and no more than a machine has memory for. */
const filesAtOnce = Math.min(16, 2 * processors);

/** Of faults; the tier's own default is shorter than one. */
const oracleMinutes = Number(process.env["HL_TEST_ORACLE_MINUTES"] ?? 1);

const tiers = {
  unit: { patterns: ["packages/**/*.test.ts", "tests/fuzz/*.test.ts"], fileMsMax: 2 * minute },
  native: {
    patterns: ["native/hl-runner/test/*.test.ts"],
    first: ["native/hl-runner/test/sanitizers.test.ts"],
    fileMsMax: 2 * minute,
  },
  // Each of its files has agents of some hundred MB.
  agents: {
    patterns: ["tests/agents/*.test.ts"],
    filesAtOnceMax: processors,
    fileMsMax: 5 * minute,
    needsAgents: true,
  },
  // Recovery and drain have bounds of their own, five minutes together.
  oracle: {
    patterns: ["tests/oracle/*.test.ts"],
    first: ["tests/oracle/oracle.test.ts"],
    fileMsMax: (2 * oracleMinutes + 7) * minute,
  },
  system: {
    patterns: ["tests/system/*.test.ts"],
    first: ["durability", "self-healing", "callers", "malformed-input", "link"].map(
      (name) => `tests/system/${name}.test.ts`,
    ),
    fileMsMax: 4 * minute,
    needsAgents: true,
  },
  // Two suites that attack everything around them are not to meet, nor others them.
  attacks: { patterns: ["tests/attacks/*.test.ts"], alone: true, fileMsMax: 2 * minute },
  // They judge a time.
  spec: { patterns: ["tests/spec/*.test.ts"], alone: true, fileMsMax: 4 * minute, needsAgents: true },
  browser: { patterns: ["tests/browser/*.test.ts"], alone: true, fileMsMax: 3 * minute },
  // An emulated machine is some forty times slower, and the first run makes its disk.
  vm: {
    patterns: ["tests/vm/*.test.ts"],
    alone: true,
    fileMsMax: 40 * minute,
    needsAgents: true,
    needsRelease: true,
  },
} satisfies Readonly<Record<string, Tier>>;

/** Run only when named: they need what `npm ci` does not bring. */
const named: readonly string[] = ["browser", "vm"];

type TierName = keyof typeof tiers;

interface Verdict {
  readonly tier: TierName;
  readonly ok: boolean;
  readonly counts: Readonly<Record<"tests" | "pass" | "fail" | "cancelled" | "skipped", number>>;
  readonly failed: readonly string[];
  /** Of its files, added up. */
  readonly seconds: number;
}

interface FileVerdict {
  readonly ok: boolean;
  readonly output: string;
  readonly seconds: number;
}

/** Ctrl-C: no further file is begun, and what runs is ended and cleared up behind. */
const stop = new AbortController();
const stopping = stop.signal;
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => stop.abort());

const usage = `Usage: node scripts/test.ts [TIER…]

  unit     beside the code, and what fuzzing has found worth keeping: ${tiers.unit.patterns.join(", ")}
  native   the C program: ${tiers.native.patterns.join(", ")}
  attacks  what a hostile program tries from inside the sandbox: ${tiers.attacks.patterns.join(", ")}
  agents   the pinned Claude Code: ${tiers.agents.patterns.join(", ")}
  system   the real programs as processes: ${tiers.system.patterns.join(", ")}, and spec
  spec     the specification's own tests: ${tiers.spec.patterns.join(", ")}
  oracle   faults between the programs by a seeded schedule, HL_TEST_ORACLE_MINUTES of them: ${tiers.oracle.patterns.join(", ")}
  browser  the dashboard in Chromium (apt-get install chromium): ${tiers.browser.patterns.join(", ")}
  vm       in a really booted machine, as root (apt-get install mmdebstrap qemu-system-x86 e2fsprogs openssh-client systemd-container): ${tiers.vm.patterns.join(", ")}
  no tier  all but browser and vm
`;

async function main(names: readonly string[]): Promise<number> {
  const unknown = names.find((name) => !Object.hasOwn(tiers, name));
  if (unknown !== undefined) {
    process.stderr.write(`test: there is no tier ${JSON.stringify(unknown)}\n\n${usage}`);
    return 64;
  }
  const standard = Object.keys(tiers).filter((name) => !named.includes(name));
  const all = names.length === 0 ? standard : names;
  const wanted = [...new Set(all.flatMap((name) => (name === "system" ? ["system", "spec"] : [name])))] as TierName[];
  const verdicts: Verdict[] = [];
  if (wanted.length > 0) {
    execFileSync("sh", [join(repositoryRoot, "scripts/build-native.sh")], { stdio: "inherit" });
    await bundlePrograms(repositoryRoot);
  }
  const [alone, beside] = [wanted.filter(isAlone), wanted.filter((name) => !isAlone(name))];
  for (const stage of [beside, ...alone.map((name) => [name])]) {
    if (!stopping.aborted) verdicts.push(...(await runTogether(stage)));
  }
  process.stdout.write("\n");
  for (const { tier, ok, counts, failed, seconds } of verdicts) {
    const figures = Object.entries(counts).map(([key, count]) => `${key} ${count}`);
    process.stdout.write(
      `${ok ? "ok  " : "FAIL"}  ${tier.padEnd(7)} ${figures.join(", ")}, its files took ${seconds.toFixed(0)} s\n`,
    );
    for (const name of failed) process.stdout.write(`        ✖ ${name}\n`);
  }
  process.stdout.write(`in ${(performance.now() / 1000).toFixed(0)} s\n`);
  return verdicts.length === wanted.length && verdicts.every(({ ok }) => ok) ? 0 : 1;
}

const isAlone = (name: TierName): boolean => "alone" in tiers[name];

/** The files of tiers that may meet, in the tiers' order, as many at once as the machine and each tier allow. */
async function runTogether(names: readonly TierName[]): Promise<Verdict[]> {
  const runs: TierRun[] = [];
  for (const name of names) runs.push(await TierRun.prepare(name, tiers[name]));
  const work = async (): Promise<void> => {
    for (let run = runs.find((one) => one.mayBegin); run !== undefined; run = runs.find((one) => one.mayBegin)) {
      await run.runNext();
    }
  };
  await Promise.all(Array.from({ length: names.some(isAlone) ? 1 : filesAtOnce }, work));
  return Promise.all(runs.map((run) => run.end()));
}

/** One tier from its first file to its verdict. */
class TierRun {
  readonly #name: TierName;
  readonly #tier: Tier;
  readonly #folder: string;
  readonly #waiting: string[];
  readonly #files: number;
  readonly #failed: string[] = [];
  readonly #counts = { tests: 0, pass: 0, fail: 0, cancelled: 0, skipped: 0 };
  #running = 0;
  #seconds = 0;

  private constructor(name: TierName, tier: Tier, folder: string) {
    this.#name = name;
    this.#tier = tier;
    this.#folder = folder;
    const files = tier.patterns.flatMap((pattern) =>
      globSync(pattern, { cwd: repositoryRoot, exclude: ["**/node_modules/**"] }),
    );
    this.#waiting = [...new Set([...(tier.first ?? []), ...files.sort()])];
    this.#files = this.#waiting.length;
  }

  static async prepare(name: TierName, tier: Tier): Promise<TierRun> {
    if (tier.needsAgents === true) await ensureAgents();
    // Short, because the sockets below it may have 107 bytes.
    const folder = mkdtempSync(join(tmpdir(), "hlt-"));
    chmodSync(folder, 0o755); // Like /tmp itself: tests of what another user may do have to get to their own folder.
    const run = new TierRun(name, tier, folder);
    process.stdout.write(`\n── ${name}: ${run.#files} files\n`);
    if (tier.needsRelease === true && process.env["HL_TEST_RELEASE"] === undefined) {
      const outputFolder = join(folder, "release");
      await makeRelease({ outputFolder, key: undefined });
      process.env["HL_TEST_RELEASE"] = outputFolder;
    }
    return run;
  }

  get mayBegin(): boolean {
    return !stopping.aborted && this.#waiting.length > 0 && this.#running < (this.#tier.filesAtOnceMax ?? Infinity);
  }

  /** Resolves when the file has ended. */
  async runNext(): Promise<void> {
    const file = this.#waiting.shift();
    if (file === undefined) return;
    this.#running += 1;
    const { ok, output, seconds } = await runFile(file, this.#tier.fileMsMax, this.#folder);
    this.#running -= 1;
    this.#seconds += seconds;
    if (!ok) this.#failed.push(file);
    process.stdout.write(`${ok ? "✔" : "✖"} ${file} (${seconds.toFixed(1)} s)\n${output.replace(/^(?=.)/gm, "  ")}`);
    for (const key of Object.keys(this.#counts) as (keyof Verdict["counts"])[]) {
      this.#counts[key] += Number(new RegExp(`^ℹ ${key} (\\d+)$`, "m").exec(output)?.[1] ?? 0);
    }
  }

  async end(): Promise<Verdict> {
    for (const line of await endWhatIsLeft(this.#folder)) this.#failed.push(`left behind: ${line}`);
    unmountBelow(this.#folder);
    rmSync(this.#folder, { recursive: true, force: true, maxRetries: 5 });
    const { fail, cancelled } = this.#counts;
    const ok = this.#files > 0 && this.#failed.length === 0 && fail + cancelled === 0 && !stopping.aborted;
    return { tier: this.#name, ok, counts: this.#counts, failed: this.#failed, seconds: this.#seconds };
  }
}

/**
 * One file in a process of its own. `node --test` has limits for tests only: a handle that is left open, or a loop that never
 * ends, would keep it for ever. Here the whole file has one.
 */
async function runFile(file: string, msMax: number, folder: string): Promise<FileVerdict> {
  const startedAt = performance.now();
  const args = ["--test-reporter=spec", "--disable-warning=ExperimentalWarning", file];
  const child = spawn(process.execPath, args, {
    cwd: repositoryRoot,
    // What V8 has compiled is kept for the next process, which then starts in half the time; hundreds are started.
    env: {
      NODE_COMPILE_CACHE: join(repositoryRoot, "node_modules/.cache/compiled"),
      // For the same reason, and because a release is made of them.
      HL_PROGRAMS: "bundled",
      ...process.env,
      TMPDIR: folder,
    },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (output += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (output += text));
  const end = (): void => void child.kill("SIGKILL");
  const timer = setTimeout(() => {
    output += `\n${file} did not end within ${msMax / 1000} s: a test hangs, or a handle was left open\n`;
    end();
  }, msMax);
  stopping.addEventListener("abort", end, { once: true });
  // Not `close`: what the file left behind may hold its pipes.
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", resolve);
  });
  clearTimeout(timer);
  stopping.removeEventListener("abort", end);
  await new Promise(setImmediate); // What was in the pipe at the exit.
  child.stdout.destroy();
  child.stderr.destroy();
  return { ok: code === 0, output, seconds: (performance.now() - startedAt) / 1000 };
}

/** Kills what a test left behind and names it. The folder is ours alone, so what mentions it is ours too. */
async function endWhatIsLeft(folder: string): Promise<string[]> {
  const named = new Map<number, string>();
  for (let found = processesOf(folder); found.length > 0; found = processesOf(folder)) {
    for (const { pid, commandLine } of found.filter((one) => isRunning(one.pid))) {
      named.set(pid, `${pid} ${commandLine}`);
      process.kill(pid, "SIGKILL");
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return [...named.values()];
}

/** What a file that was ended had mounted: the folder could not be removed. */
function unmountBelow(folder: string): void {
  const mounts = readFileSync("/proc/mounts", "utf8").split("\n");
  const points = mounts.map((line) => line.split(" ")[1] ?? "").filter((point) => point.startsWith(`${folder}/`));
  for (const point of points) execFileSync("umount", ["--lazy", point], { stdio: "inherit" });
}

process.exitCode = await main(process.argv.slice(2));
