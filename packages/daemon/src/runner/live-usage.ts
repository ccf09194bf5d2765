import type { StartedRecord } from "./records.ts";
import { memoryOf, readProc, treeOf } from "./process-tree.ts";

/** What a tree of processes takes while it runs. */
export interface LiveUsage {
  /** Processor time since the start. */
  readonly cpuMs: number;
  /** What the kernel could take back only by swapping. Undefined where nobody counts it. */
  readonly memoryBytes: number | undefined;
  /** `cgroup`: the kernel's figures; `processes`: a sum over those that are seen. */
  readonly source: "cgroup" | "processes";
}

/** USER_HZ, in which /proc tells times: the same on every Linux that Node runs on. */
const ticksPerSecond = 100;

/**
 * Of a run whose shim lives. The installed daemon sees no process of another user, but the control groups of the runner. Undefined where it can
 * see neither.
 */
export function liveUsage({ shimPid, cgroup }: StartedRecord, proc: string = "/proc"): LiveUsage | undefined {
  return (cgroup === undefined ? undefined : ofCgroup(cgroup)) ?? ofProcesses(shimPid, proc);
}

function ofCgroup(folder: string): LiveUsage | undefined {
  const microseconds = figure(readProc(`${folder}/cpu.stat`), "usage_usec");
  if (microseconds === undefined) return undefined;
  const memory = readProc(`${folder}/memory.stat`);
  const [anonymous, shared] = [figure(memory, "anon"), figure(memory, "shmem")];
  const swapped = Number(readProc(`${folder}/memory.swap.current`));
  const memoryBytes = anonymous === undefined ? undefined : anonymous + (shared ?? 0) + swapped;
  return { cpuMs: microseconds / 1000, memoryBytes, source: "cgroup" };
}

function figure(text: string, name: string): number | undefined {
  const value = new RegExp(`^${name} (\\d+)$`, "m").exec(text)?.[1];
  return value === undefined ? undefined : Number(value);
}

/** All below the shim, which is their reaper: what has ended is with its parent, and at last with the shim, whose own work is not counted. */
function ofProcesses(shimPid: number, proc: string): LiveUsage | undefined {
  const shim = timesOf(shimPid, proc);
  if (shim === undefined) return undefined;
  const pids = treeOf(shimPid, proc).slice(1);
  const ticks = pids.reduce((sum, pid) => {
    const { ownTicks = 0, endedTicks = 0 } = timesOf(pid, proc) ?? {};
    return sum + ownTicks + endedTicks;
  }, shim.endedTicks);
  return { cpuMs: (ticks * 1000) / ticksPerSecond, memoryBytes: memoryOf(pids, proc), source: "processes" };
}

/** Of a process, and of its children that it has waited for. */
function timesOf(pid: number, proc: string): { readonly ownTicks: number; readonly endedTicks: number } | undefined {
  const stat = readProc(`${proc}/${pid}/stat`);
  // The name is in parentheses and may hold some itself; utime is the 14th field, the 12th behind it.
  const fields = stat
    .slice(stat.lastIndexOf(")") + 2)
    .split(" ")
    .map(Number);
  const [user, system, endedUser, endedSystem] = fields.slice(11, 15);
  if (user === undefined || system === undefined) return undefined;
  return { ownTicks: user + system, endedTicks: (endedUser ?? 0) + (endedSystem ?? 0) };
}
