import { readdirSync, readFileSync } from "node:fs";

/** A tree of more is counted no further. */
const processesMax = 1_000;

/**
 * Memory of a process and all below it in bytes: what the kernel could take back only by swapping, and what it has swapped out. Undefined where
 * /proc does not show it, as another user's may not be.
 */
export function treeMemoryBytes(pid: number, proc: string = "/proc"): number | undefined {
  const pids = [pid];
  let bytes: number | undefined;
  // The list grows as it is walked.
  for (const one of pids) {
    const own = memoryOf(`${proc}/${one}`);
    if (own !== undefined) bytes = (bytes ?? 0) + own;
    if (pids.length < processesMax) pids.push(...childrenOf(`${proc}/${one}`));
  }
  return bytes;
}

/** The parent of a process: of the main process of a run it is the shim, to which descendants fall whose own parent has ended. */
export function parentOf(pid: number, proc: string = "/proc"): number | undefined {
  const parent = /^PPid:\t(\d+)$/m.exec(read(`${proc}/${pid}/status`))?.[1];
  return parent === undefined ? undefined : Number(parent);
}

function memoryOf(folder: string): number | undefined {
  const status = read(`${folder}/status`);
  let kilobytes: number | undefined;
  for (const [, value] of status.matchAll(/^(?:RssAnon|RssShmem|VmSwap):\s+(\d+) kB$/gm)) {
    kilobytes = (kilobytes ?? 0) + Number(value);
  }
  return kilobytes === undefined ? undefined : kilobytes * 1024;
}

function childrenOf(folder: string): number[] {
  let threads: string[];
  try {
    threads = readdirSync(`${folder}/task`);
  } catch {
    return [];
  }
  return threads.flatMap((thread) => read(`${folder}/task/${thread}/children`).split(" ").filter(Boolean).map(Number));
}

/** What has ended meanwhile is empty. */
function read(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
