/**
 * Goal: what a run takes is the kernel's figures of its control group where it has one, else a sum over what is below its shim, never over
 * anything else. Method: folders that look like /sys/fs/cgroup and /proc.
 */
import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { temporaryFolder } from "@hl/testkit/programs.ts";
import { liveUsage } from "./live-usage.ts";

interface Process {
  readonly pid: number;
  readonly children?: readonly number[];
  readonly name?: string;
  /** utime, stime, cutime, cstime. */
  readonly ticks: readonly [number, number, number, number];
  readonly kilobytes: number;
}

function world(processes: readonly Process[], cgroup: Readonly<Record<string, string>> = {}) {
  const folder = temporaryFolder("hl-usage");
  const write = (path: string, text: string): void => {
    mkdirSync(join(folder.path, path, ".."), { recursive: true });
    writeFileSync(join(folder.path, path), text);
  };
  for (const { pid, children = [], name = "sh", ticks, kilobytes } of processes) {
    const before = "S 1 1 1 0 -1 4194560 1 2 3 4";
    write(`proc/${pid}/stat`, `${pid} (${name}) ${before} ${ticks.join(" ")} 20 0 1 0 99\n`);
    write(
      `proc/${pid}/status`,
      `Name:\t${name}\nVmRSS:\t9999999 kB\nRssAnon:\t    ${kilobytes} kB\nRssShmem:\t    0 kB\n`,
    );
    write(`proc/${pid}/task/${pid}/children`, `${children.join(" ")} `);
  }
  for (const [file, text] of Object.entries(cgroup)) write(`group/${file}`, text);
  return {
    usage: (group = join(folder.path, "group")) =>
      liveUsage({ pid: 11, shimPid: 10, cgroup: group }, join(folder.path, "proc")),
    [Symbol.dispose]: () => folder[Symbol.dispose](),
  };
}

const tree: Process[] = [
  { pid: 1, children: [10, 50], ticks: [9999, 9999, 9999, 9999], kilobytes: 9999 },
  { pid: 10, children: [11, 13], ticks: [500, 500, 3, 4], kilobytes: 4096 },
  { pid: 11, children: [12], ticks: [10, 20, 1, 2], kilobytes: 1024, name: "a) (b 9 9 9" },
  { pid: 12, ticks: [100, 0, 0, 0], kilobytes: 2048 },
  { pid: 13, ticks: [0, 1, 0, 0], kilobytes: 512 },
  { pid: 50, ticks: [9999, 9999, 9999, 9999], kilobytes: 9999 },
];

test("without a control group: all below the shim, with what it has waited for, and neither the shim itself nor its neighbours", () => {
  using w = world(tree);
  const expected = { cpuMs: 1410, memoryBytes: 3584 * 1024, source: "processes" };
  assert.deepEqual(w.usage(undefined), expected);
  assert.deepEqual(w.usage("/nowhere"), expected);
});

test("a control group comes first; without a memory controller only its time is known", () => {
  using w = world(tree, {
    "cpu.stat": "usage_usec 2500000\nuser_usec 1\n",
    "memory.stat": "anon 1000\nfile 999999\nshmem 20\n",
    "memory.swap.current": "3\n",
  });
  assert.deepEqual(w.usage(), { cpuMs: 2500, memoryBytes: 1023, source: "cgroup" });
  using timeOnly = world(tree, { "cpu.stat": "usage_usec 1000\n" });
  assert.deepEqual(timeOnly.usage(), { cpuMs: 1, memoryBytes: undefined, source: "cgroup" });
});

test("nothing can be seen: nothing is said", () => {
  using w = world([]);
  assert.equal(w.usage(undefined), undefined);
});
