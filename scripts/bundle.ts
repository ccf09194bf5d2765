/**
 * One file a program, with everything in it that is not Node itself: starts in half the time of the sources, and nothing has to be compiled
 * from TypeScript where it runs.
 */
import { execFile } from "node:child_process";
import { cpSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { repositoryRoot } from "@hl/testkit/programs.ts";

/** Entry points, from the root of the repository. */
export const programs: Readonly<Record<string, string>> = {
  "hl-daemon": "packages/daemon/src/main.ts",
  "hl-workspace": "packages/workspace/src/main.ts",
  "claude-code": "packages/bridge/src/main.ts",
  "hl-client": "packages/client/src/main.ts",
  "hl-health-check": "packages/client/src/health-check/main.ts",
  "hl-cloud": "packages/cloud/src/main.ts",
};
const leanHttp = "--alias:node:http=./scripts/bundled-http.ts";
/** V8 keeps a program's text as long as it runs. Names stay, for stacks; lines stay short, because Node prints the one that threw. */
const small = ["--minify-whitespace", "--line-limit=160"];
/** What hl-cloud reads beside itself. */
const assets = "packages/cloud/src/dashboard/assets";

/** Some libraries are CommonJS and call `require` for parts of Node, which a module does not have. */
const banner = `import { createRequire as hlCreateRequire } from "node:module"; const require = hlCreateRequire(import.meta.url);`;

/**
 * @param entry from the root of the repository
 * @param metafile where the bundler writes what went into it. Rejects with what the bundler says.
 */
export async function bundle(entry: string, outputFile: string, metafile?: string): Promise<void> {
  const bundler = join(repositoryRoot, `node_modules/@esbuild/linux-${process.arch}/bin/esbuild`);
  if (!existsSync(bundler)) throw new Error(`${bundler} is missing: run \`npm ci\` (optional dependencies included)`);
  // esnext: nothing is rewritten for an older language. What `using` would become keeps the error of an earlier round of a loop.
  const how = [
    "--bundle",
    "--platform=node",
    "--format=esm",
    "--target=esnext",
    "--log-level=warning",
    leanHttp,
    ...small,
  ];
  const told = metafile === undefined ? [] : [`--metafile=${metafile}`];
  const args = [entry, ...how, ...told, `--banner:js=${banner}`, `--outfile=${outputFile}`];
  await promisify(execFile)(bundler, args, { cwd: repositoryRoot });
  writeFileSync(outputFile, inAscii(readFileSync(outputFile, "utf8")));
}

/** The bundler leaves other characters in comments only; one of them would have V8 keep the whole text with two bytes a character. */
function inAscii(text: string): string {
  return text.replaceAll(/[^\0-\x7f]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

/** All of them below `build/programs` of a root that is laid out like this repository; `bin/` finds them there. */
export async function bundlePrograms(root: string): Promise<void> {
  const folder = join(root, "build/programs");
  for (const [name, entry] of Object.entries(programs)) await bundle(entry, join(folder, name, "main.mjs"));
  cpSync(join(repositoryRoot, assets), join(folder, "hl-cloud/assets"), { recursive: true });
}
