/**
 * Checks which part may know which (.dependency-cruiser.cjs), and that the tool has looked: it reports success when an
 * unsupported compiler or a wrong path leaves it with no modules at all.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { join } from "node:path";
import { repositoryRoot } from "@hl/testkit/programs.ts";

const cruiser = join(repositoryRoot, "node_modules/dependency-cruiser/bin/dependency-cruiser.mjs");
const listed = execFileSync(
  "git",
  ["ls-files", "--cached", "--others", "--exclude-standard", "packages/*/src/*.ts", "packages/*/src/**/*.ts"],
  {
    cwd: repositoryRoot,
    encoding: "utf8",
  },
);
const files = new Set(
  listed
    .trim()
    .split("\n")
    .filter((path) => path !== ""),
);
const result = spawnSync(
  process.execPath,
  [cruiser, "packages", "--include-only", "^packages|^node:|^ws$|sqlite|child_process", "--output-type", "json"],
  {
    cwd: repositoryRoot,
    encoding: "utf8",
    maxBuffer: 256 * 1024 * 1024,
  },
);
if (result.stdout === "") throw new Error(`dependency-cruiser printed nothing: ${result.stderr}`);
const { summary, modules } = JSON.parse(result.stdout) as {
  summary: { violations: { rule: { name: string }; from: string; to: string; cycle?: { name: string }[] }[] };
  modules: { source: string }[];
};
const cruised = new Set(modules.map((module) => module.source));
const missed = [...files].filter((path) => !cruised.has(path));
for (const { rule, from, to, cycle } of summary.violations) {
  const way = cycle === undefined ? to : cycle.map(({ name }) => name).join(" → ");
  process.stdout.write(`${rule.name}: ${from} → ${way}\n`);
}
if (missed.length > 0) process.stdout.write(`not looked at: ${missed.join(", ")}\n`);
process.exitCode = summary.violations.length > 0 || missed.length > 0 ? 1 : 0;
