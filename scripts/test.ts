/**
 * `npm test`: every tier that needs no root, no virtual machine and no browser, or the named ones: `node scripts/test.ts unit native`.
 *
 * Builds the C program and installs the agents first where a tier needs them. A file that hangs is a failure and not a stuck CI.
 * Everything the tests start lives below one temporary folder, so a process that a test leaves behind is seen, named and fails
 * the run.
 */
import { execFileSync, spawn } from "node:child_process";
import { chmodSync, globSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isRunning, processesOf } from "@hl/testkit/processes.ts";
import { repositoryRoot } from "@hl/testkit/programs.ts";
import { ensureAgents } from "../tests/agents/install.ts";
import { bundlePrograms } from "./bundle.ts";
import { makeRelease } from "./release.ts";

interface Tier {
  readonly patterns: readonly string[];
  /** A file that takes long and is begun before the others, so that it does not run on alone behind them. */
  readonly first?: string;
  /** Files at once. The specification's tests judge a time and run alone. */
  readonly filesAtOnce: number;
  readonly fileMsMax: number;
  readonly needsAgents?: boolean;
  /** Made once, which takes minutes, and named to the files by HL_TEST_RELEASE. */
  readonly needsRelease?: boolean;
}

const minute = 60_000;

/** Of faults; the tier's own default is shorter than one. */
const oracleMinutes = Number(process.env["HL_TEST_ORACLE_MINUTES"] ?? 1);

const tiers = {
  // More at once than there are processors, as of the system tests: they wait a good part of their time.
  unit: { patterns: ["packages/**/*.test.ts", "tests/fuzz/*.test.ts"], filesAtOnce: 3, fileMsMax: 2 * minute },
  native: {
    patterns: ["native/hl-runner/test/*.test.ts"],
    first: "native/hl-runner/test/sanitizers.test.ts",
    filesAtOnce: 2,
    fileMsMax: 2 * minute,
  },
  // One at a time: two suites that attack everything around them are not to meet.
  attacks: { patterns: ["tests/attacks/*.test.ts"], filesAtOnce: 1, fileMsMax: 2 * minute },
  agents: { patterns: ["tests/agents/*.test.ts"], filesAtOnce: 2, fileMsMax: 5 * minute, needsAgents: true },
  system: {
    patterns: ["tests/system/*.test.ts"],
    first: "tests/system/durability.test.ts",
    filesAtOnce: 3,
    fileMsMax: 4 * minute,
    needsAgents: true,
  },
  spec: { patterns: ["tests/spec/*.test.ts"], filesAtOnce: 1, fileMsMax: 4 * minute, needsAgents: true },
  // Recovery and drain have bounds of their own, five minutes together.
  oracle: {
    patterns: ["tests/oracle/*.test.ts"],
    first: "tests/oracle/oracle.test.ts",
    filesAtOnce: 2,
    fileMsMax: (2 * oracleMinutes + 7) * minute,
  },
  browser: { patterns: ["tests/browser/*.test.ts"], filesAtOnce: 1, fileMsMax: 3 * minute },
  // An emulated machine is some forty times slower, and the first run makes its disk.
  vm: {
    patterns: ["tests/vm/*.test.ts"],
    filesAtOnce: 1,
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
  const wanted = [...new Set(all.flatMap((name) => (name === "system" ? ["system", "spec"] : [name])))];
  const verdicts: Verdict[] = [];
  if (wanted.length > 0) {
    execFileSync("sh", [join(repositoryRoot, "scripts/build-native.sh")], { stdio: "inherit" });
    await bundlePrograms(repositoryRoot);
  }
  for (const name of wanted as TierName[]) {
    if (!stopping.aborted) verdicts.push(await runTier(name, tiers[name]));
  }
  process.stdout.write("\n");
  for (const { tier, ok, counts, failed, seconds } of verdicts) {
    const figures = Object.entries(counts).map(([key, count]) => `${key} ${count}`);
    process.stdout.write(`${ok ? "ok  " : "FAIL"}  ${tier.padEnd(7)} ${figures.join(", ")}, ${seconds.toFixed(1)} s\n`);
    for (const name of failed) process.stdout.write(`        ✖ ${name}\n`);
  }
  return verdicts.length === wanted.length && verdicts.every(({ ok }) => ok) ? 0 : 1;
}

async function runTier(name: TierName, tier: Tier): Promise<Verdict> {
  const startedAt = performance.now();
  const files = tier.patterns
    .flatMap((pattern) => globSync(pattern, { cwd: repositoryRoot, exclude: ["**/node_modules/**"] }))
    .sort((a, b) => Number(b === tier.first) - Number(a === tier.first) || (a < b ? -1 : 1));
  process.stdout.write(`\n── ${name}: ${files.length} files\n`);
  if (tier.needsAgents === true) await ensureAgents();
  // Short, because the sockets below it may have 107 bytes.
  const folder = mkdtempSync(join(tmpdir(), "hlt-"));
  chmodSync(folder, 0o755); // Like /tmp itself: tests of what another user may do have to get to their own folder.
  if (tier.needsRelease === true && process.env["HL_TEST_RELEASE"] === undefined) {
    const outputFolder = join(folder, "release");
    await makeRelease({ outputFolder, key: undefined });
    process.env["HL_TEST_RELEASE"] = outputFolder;
  }
  const failed: string[] = [];
  const counts = { tests: 0, pass: 0, fail: 0, cancelled: 0, skipped: 0 };
  const waiting = [...files];
  const worker = async (): Promise<void> => {
    for (let file = waiting.shift(); file !== undefined && !stopping.aborted; file = waiting.shift()) {
      const { ok, output, seconds } = await runFile(file, tier.fileMsMax, folder);
      if (!ok) failed.push(file);
      process.stdout.write(`${ok ? "✔" : "✖"} ${file} (${seconds.toFixed(1)} s)\n${output.replace(/^(?=.)/gm, "  ")}`);
      for (const key of Object.keys(counts) as (keyof typeof counts)[]) {
        counts[key] += Number(new RegExp(`^ℹ ${key} (\\d+)$`, "m").exec(output)?.[1] ?? 0);
      }
    }
  };
  await Promise.all(Array.from({ length: tier.filesAtOnce }, worker));
  for (const line of await endWhatIsLeft(folder)) failed.push(`left behind: ${line}`);
  unmountBelow(folder);
  rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  const ok = files.length > 0 && failed.length === 0 && counts.fail + counts.cancelled === 0 && !stopping.aborted;
  return { tier: name, ok, counts, failed, seconds: (performance.now() - startedAt) / 1000 };
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
