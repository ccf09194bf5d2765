/** Where a test may make control groups: below the group that HL_TEST_CGROUP names, or as root below the cgroup2 mount. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** A fresh group for one test file, or why there can be none. */
export function ownGroup(name: string): { folder?: string; problem?: string } {
  const mount = readFileSync("/proc/self/mountinfo", "utf8")
    .split("\n")
    .find((line) => line.includes(" - cgroup2 "))
    ?.split(" ")[4];
  const named = process.env["HL_TEST_CGROUP"];
  if (named === undefined && process.getuid?.() !== 0) return { problem: "only root, or HL_TEST_CGROUP, has a place for control groups" }; // prettier-ignore
  const parent = named ?? mount;
  if (parent === undefined) return { problem: "no cgroup2 is mounted here" };
  const folder = join(parent, `${name}-${String(process.pid)}`);
  try {
    mkdirSync(folder);
  } catch (error) {
    return { problem: `no control group can be made: ${String(error)}` };
  }
  for (const controller of controllersOf(parent)) {
    if (!["memory", "cpu", "pids"].includes(controller)) continue;
    try {
      writeFileSync(join(parent, "cgroup.subtree_control"), `+${controller}`);
    } catch {
      // Then the tests that need it say so and are skipped.
    }
  }
  return { folder };
}

export function controllersOf(folder: string): string[] {
  return readFileSync(join(folder, "cgroup.controllers"), "utf8").trim().split(" ");
}
