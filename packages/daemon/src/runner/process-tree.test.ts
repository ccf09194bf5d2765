/** Goal: the memory of an agent is that of all it has started. Method: a real tree of processes, one of which holds 64 MiB. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { test } from "node:test";
import { parentOf, treeMemoryBytes } from "./process-tree.ts";

test("memory of a tree: its children count, and one that is not there has none", async () => {
  const holder = "const held = Buffer.alloc(64 * 2 ** 20, 1); console.log(held.length); setInterval(() => {}, 1e9)";
  const child = spawn("/bin/sh", ["-c", `"$0" -e '${holder}'; :`, process.execPath], { detached: true });
  try {
    await once(child.stdout, "data");
    const pid = child.pid!;
    assert.ok(treeMemoryBytes(pid)! > 64 * 2 ** 20);
    assert.equal(parentOf(pid), process.pid);
  } finally {
    process.kill(-child.pid!, "SIGKILL");
    await once(child, "close");
  }
  assert.deepEqual([treeMemoryBytes(child.pid!), parentOf(child.pid!)], [undefined, undefined]);
});
