import { execFile } from "node:child_process";
import { chmod, mkdir, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { repositoryRoot } from "@hl/testkit/programs.ts";
import { bundle } from "../../scripts/bundle.ts";

const execute = promisify(execFile);

/** Where the machine has it. */
export const payloadRoot = "/mnt/hl";
const node = `node_modules/node-linux-${process.arch}/bin/node`;

/**
 * Entry points that are bundled, each at the place of its source, because programs look for their neighbours from where they lie.
 * Bundled, because the sources are compiled by a WebAssembly module: under emulation that takes half a minute a start, and now and then
 * V8 ends in it with "Check failed" while it moves to faster code, which nothing that is tested here has to do with.
 */
const programs: Readonly<Record<string, string>> = {
  "hl-daemon": "packages/daemon/src/main.ts",
  "hl-client": "packages/client/src/main.ts",
};
const tests = ["native/hl-runner/test/cgroup.test.ts", "native/hl-runner/test/memory.test.ts"];

export const bundled = (source: string): string => `${payloadRoot}/${source.replace(/\.ts$/, ".mjs")}`;

/** The programs on a disk of their own: copying them over the network would take the machine longer than booting. */
export async function makePayload(folder: string): Promise<string> {
  const tree = join(folder, "payload");
  const disk = join(folder, "payload.ext4");
  await mkdir(tree);
  const parts = [dirname(node), "native/hl-runner", "package.json"];
  await execute("sh", ["-c", `tar -C "$1" -cf - ${parts.join(" ")} | tar -C "$2" -xf -`, "sh", repositoryRoot, tree]);
  for (const source of [...Object.values(programs), ...tests])
    await bundle(source, join(tree, source.replace(/\.ts$/, ".mjs")));
  await mkdir(join(tree, "bin"));
  for (const [name, source] of Object.entries(programs)) {
    const program = join(tree, "bin", name);
    await writeFile(
      program,
      `#!/bin/sh\nexec ${payloadRoot}/${node} --max-semi-space-size=2 ${bundled(source)} "$@"\n`,
    );
    await chmod(program, 0o755);
  }
  await execute("mke2fs", ["-q", "-t", "ext4", "-O", "^has_journal", "-m", "0", "-d", tree, disk, "512M"]);
  await rm(tree, { recursive: true, force: true });
  return disk;
}

/** Runs bundled tests, all of them. */
export const runBundledTests = `cd ${payloadRoot} && ${node} --test --test-concurrency=1 ${tests.map(bundled).join(" ")}`;
