/**
 * One file a program, with everything in it that is not Node itself: starts in a third of the time of the sources, and nothing has to be
 * compiled from TypeScript where it runs.
 */
import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { repositoryRoot } from "@hl/testkit/programs.ts";

/** Some libraries are CommonJS and call `require` for parts of Node, which a module does not have. */
const banner = `import { createRequire as hlCreateRequire } from "node:module"; const require = hlCreateRequire(import.meta.url);`;

/** @param entry from the root of the repository. Rejects with what the bundler says. */
export async function bundle(entry: string, outputFile: string): Promise<void> {
  const bundler = join(repositoryRoot, `node_modules/@esbuild/linux-${process.arch}/bin/esbuild`);
  const how = ["--bundle", "--platform=node", "--format=esm", "--target=node24", "--log-level=warning"];
  await promisify(execFile)(bundler, [entry, ...how, `--banner:js=${banner}`, `--outfile=${outputFile}`], {
    cwd: repositoryRoot,
  });
}
