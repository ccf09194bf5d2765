import { execFile } from "node:child_process";
import { mkdir, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { repositoryRoot } from "@hl/testkit/programs.ts";
import { bundle, bundlePrograms } from "../../scripts/bundle.ts";

const execute = promisify(execFile);

/** Where the machine has it. */
export const payloadRoot = "/mnt/hl";
const node = `node_modules/node-linux-${process.arch}/bin/node`;
const tests = ["native/hl-runner/test/cgroup.test.ts", "native/hl-runner/test/memory.test.ts"];
const bundled = (source: string): string => source.replace(/\.ts$/, ".mjs");

/**
 * The programs on a disk of their own: copying them over the network would take the machine longer than booting. Bundled: the sources are
 * compiled by a WebAssembly module, which takes half a minute a start under emulation, and now and then V8 ends there with "Check failed"
 * while it moves to faster code, which nothing that is tested here has to do with.
 */
export async function makePayload(folder: string): Promise<string> {
  const tree = join(folder, "payload");
  await mkdir(tree);
  const parts = ["bin", "native/hl-runner", dirname(node), "package.json"];
  await execute("sh", ["-c", `tar -C "$1" -cf - ${parts.join(" ")} | tar -C "$2" -xf -`, "sh", repositoryRoot, tree]);
  await bundlePrograms(tree);
  // Each at the place of its source, because it looks for its neighbours from there.
  for (const source of tests) await bundle(source, join(tree, bundled(source)));
  const disk = await diskOf(tree, folder);
  await rm(tree, { recursive: true, force: true });
  return disk;
}

/** A disk with a copy of the tree, made in `folder`; its path. */
export async function diskOf(tree: string, folder: string): Promise<string> {
  const disk = join(folder, "payload.ext4");
  await execute("mke2fs", ["-q", "-t", "ext4", "-O", "^has_journal", "-m", "0", "-d", tree, disk, "512M"]);
  return disk;
}

/** Runs bundled tests, all of them. */
export const runBundledTests = `cd ${payloadRoot} && ${node} --test --test-concurrency=1 ${tests.map(bundled).join(" ")}`;
