/**
 * `npm run check`: everything a reviewer should not have to look for, after an edit in seconds: types, lint, format, direction of
 * dependencies, drift of generated pages, warnings of the C compiler, and the house rules of tests/tidy.
 * Prints one line a check and the whole output of those that fail; exits 1 when any did.
 */
import { spawn } from "node:child_process";
import { existsSync, globSync } from "node:fs";
import { delimiter, join } from "node:path";
import { repositoryRoot } from "@hl/testkit/programs.ts";

interface Check {
  readonly name: string;
  readonly command: readonly string[];
  /** Not from npm: where it is missing the check does not run, and that is said. */
  readonly needs?: string | undefined;
}

const tool = (path: string): string => join(repositoryRoot, "node_modules", path);
const node = process.execPath;

/** What was found of files that are as they were; a clean checkout has none. */
const cache = "node_modules/.cache";

const checks: readonly Check[] = [
  {
    name: "types",
    command: [node, tool("typescript/bin/tsc"), "-p", ".", "--incremental", "--tsBuildInfoFile", `${cache}/types`],
  },
  {
    name: "lint",
    command: [
      node,
      "--max-old-space-size=4096",
      tool("eslint/bin/eslint.js"),
      "--cache",
      "--cache-location",
      `${cache}/eslint`,
      ".",
    ],
  },
  {
    name: "format",
    command: [node, tool("prettier/bin/prettier.cjs"), "--check", "--log-level", "warn", "--cache", "."],
  },
  { name: "direction", command: [node, "scripts/direction.ts"] },
  { name: "docs drift", command: [node, "scripts/docs.ts", "--check"] },
  { name: "tidy", command: [node, "--test", "--test-reporter=dot", "tests/tidy/*.test.ts"] },
  {
    name: "shell",
    // What a script sources lies beside it, and is looked at by itself.
    command: ["shellcheck", "--exclude=SC1091", ...shellScripts()],
    needs: "shellcheck",
  },
  { name: "C warnings", command: ["make", "-s", "-C", "native/hl-runner", "check"] },
];

function shellScripts(): string[] {
  const found = globSync(["packaging/scripts/*.sh", "packaging/debian/p*", "scripts/*.sh", "bin/lib/*.sh", "bin/*"], {
    cwd: repositoryRoot,
    withFileTypes: true,
  });
  const files = found.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  return [...files, join(repositoryRoot, ".ci/run")].sort();
}

function isInstalled(program: string): boolean {
  return (process.env["PATH"] ?? "").split(delimiter).some((folder) => existsSync(join(folder, program)));
}

interface Outcome {
  readonly ok: boolean;
  readonly output: string;
  readonly seconds: number;
}

async function run(check: Check): Promise<Outcome> {
  const [command = "", ...args] = check.command;
  const startedAt = performance.now();
  const child = spawn(command, args, { cwd: repositoryRoot, stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  const collect = (chunk: Buffer): void => void (output += chunk.toString("utf8"));
  child.stdout.on("data", collect);
  child.stderr.on("data", collect);
  const code = await new Promise<number | null>((resolve) => {
    child.once("error", (error) => {
      output += error.message;
      resolve(127);
    });
    child.once("close", resolve);
  });
  return { ok: code === 0, output, seconds: (performance.now() - startedAt) / 1000 };
}

/** Two at a time: more than the machine has cores only makes each of them slower. */
async function runAll(): Promise<boolean> {
  const waiting = [...checks];
  let allOk = true;
  const worker = async (): Promise<void> => {
    for (let check = waiting.shift(); check !== undefined; check = waiting.shift()) {
      if (check.needs !== undefined && !isInstalled(check.needs)) {
        process.stdout.write(`NOT RUN  ${check.name}: ${check.needs} is not installed\n`);
        continue;
      }
      const { ok, output, seconds } = await run(check);
      process.stdout.write(`${ok ? "ok  " : "FAIL"}  ${check.name.padEnd(12)} ${seconds.toFixed(1)} s\n`);
      if (!ok) process.stdout.write(`${output.trimEnd()}\n\n`);
      allOk &&= ok;
    }
  };
  await Promise.all([worker(), worker()]);
  return allOk;
}

process.exitCode = (await runAll()) ? 0 : 1;
