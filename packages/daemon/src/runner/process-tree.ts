import { readdirSync, readFileSync } from "node:fs";

/** A tree of more is counted no further. */
const processesMax = 1_000;

/** A process and all below it, as /proc shows them; only itself where it shows nothing. */
export function treeOf(pid: number, proc: string = "/proc"): number[] {
  const pids = [pid];
  // The list grows as it is walked.
  for (const one of pids) {
    if (pids.length < processesMax) pids.push(...childrenOf(`${proc}/${one}`));
  }
  return pids;
}

/**
 * Memory of processes in bytes: what the kernel could take back only by swapping, and what it has swapped out. Undefined where /proc shows none
 * of them, as another user's may not be.
 */
export function memoryOf(pids: readonly number[], proc: string = "/proc"): number | undefined {
  let kilobytes: number | undefined;
  for (const pid of pids) {
    const status = readProc(`${proc}/${pid}/status`);
    for (const [, value] of status.matchAll(/^(?:RssAnon|RssShmem|VmSwap):\s+(\d+) kB$/gm))
      kilobytes = (kilobytes ?? 0) + Number(value);
  }
  return kilobytes === undefined ? undefined : kilobytes * 1024;
}

/** The same of a process and all below it. */
export function treeMemoryBytes(pid: number, proc: string = "/proc"): number | undefined {
  return memoryOf(treeOf(pid, proc), proc);
}

/** The parent of a process: of the main process of a run it is the shim, to which descendants fall whose own parent has ended. */
export function parentOf(pid: number, proc: string = "/proc"): number | undefined {
  const parent = /^PPid:\t(\d+)$/m.exec(readProc(`${proc}/${pid}/status`))?.[1];
  return parent === undefined ? undefined : Number(parent);
}

function childrenOf(folder: string): number[] {
  let threads: string[];
  try {
    threads = readdirSync(`${folder}/task`);
  } catch {
    return [];
  }
  return threads.flatMap((thread) =>
    readProc(`${folder}/task/${thread}/children`).split(" ").filter(Boolean).map(Number),
  );
}

/** What has ended meanwhile is empty. */
export function readProc(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
