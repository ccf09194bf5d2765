/**
 * Processes as the kernel shows them, for tests that must see that none is left, or that one does not grow.
 */
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { until } from "./waiting.ts";

/** A process that belongs to a folder: its command line, directory, program, environment or one of its open files lies below it. */
export interface SeenProcess {
  readonly pid: number;
  readonly commandLine: string;
}

/** Every process of the folder but ourselves. A home is a folder of its own, so these are all that a daemon has started. */
export function processesOf(folder: string): SeenProcess[] {
  const sockets = socketsBelow(folder);
  return allPids().flatMap((pid) => {
    if (pid === process.pid) return [];
    const commandLine = readProc(pid, "cmdline").replaceAll("\0", " ").trim();
    const traces = [commandLine, readLink(pid, "cwd"), readLink(pid, "exe"), readProc(pid, "environ")];
    const isOurs =
      traces.some((trace) => trace.includes(folder)) ||
      openFiles(pid).some((file) => sockets.has(file) || file.includes(folder));
    return isOurs ? [{ pid, commandLine }] : [];
  });
}

/** Resolves when the folder has no process any more; says which are left otherwise. */
export async function noProcessOf(folder: string): Promise<void> {
  let left: SeenProcess[] = [];
  try {
    await until(`no process of ${folder}`, () => (left = processesOf(folder)).length === 0, 15_000);
  } catch {
    throw new Error(`left of ${folder}: ${left.map(({ pid, commandLine }) => `${pid} ${commandLine}`).join("; ")}`);
  }
}

/** A zombie has ended: it only waits for its parent. */
export function isRunning(pid: number): boolean {
  const state = /^\d+ \(.*\) (\S)/s.exec(readProc(pid, "stat"))?.[1];
  return state !== undefined && state !== "Z";
}

/** Children that have ended and that the process has not waited for. */
export function zombiesOf(pid: number): number[] {
  const children = readProc(pid, `task/${pid}/children`).trim();
  return children === ""
    ? []
    : children
        .split(" ")
        .map(Number)
        .filter((child) => readProc(child, "stat") !== "" && !isRunning(child));
}

/** Every process whose command line has the text, the end of it as the program was given it. Cheap: reads nothing else. */
export function processesNaming(text: string): number[] {
  return allPids().filter((pid) => readProc(pid, "cmdline").includes(text));
}

/** Every running process that has the variable with this value in its environment, as what an agent starts has its process id. */
export function processesWith(variable: string, value: string): number[] {
  const wanted = `${variable}=${value}`;
  return allPids().filter((pid) => readProc(pid, "environ").split("\0").includes(wanted));
}

/** A process below another one, as /proc shows it at this moment. */
export interface Descendant {
  readonly pid: number;
  readonly parent: number;
  /** Tells two holders of the same number apart. */
  readonly startTicks: number;
  readonly name: string;
  readonly zombie: boolean;
}

/** Children of children included, zombies too; the process itself is not. */
export function descendantsOf(root: number): Descendant[] {
  const childrenOf = new Map<number, Descendant[]>();
  for (const pid of allPids()) {
    const found = /^\d+ \((.*)\) (\S) (\d+) (.*)$/s.exec(readProc(pid, "stat"));
    if (found === null) continue;
    const [, name = "", state, parent, rest = ""] = found;
    const seen = { pid, parent: Number(parent), name, zombie: state === "Z", startTicks: Number(rest.split(" ")[17]) };
    childrenOf.set(Number(parent), [...(childrenOf.get(Number(parent)) ?? []), seen]);
  }
  const below = (pid: number): Descendant[] =>
    (childrenOf.get(pid) ?? []).flatMap((child) => [child, ...below(child.pid)]);
  return below(root);
}

export function threadCount(pid: number): number {
  return readdirSync(`/proc/${pid}/task`).length;
}

/** Who started it, or took it over. */
export function parentOf(pid: number): number {
  return Number(/^PPid:\s+(\d+)$/m.exec(readProc(pid, "status"))?.[1]);
}

export function rssBytes(pid: number): number {
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(readProc(pid, "status"))?.[1]) * 1024;
}

/** Open files, sockets and pipes of a process. */
export function descriptorCount(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).length;
}

function allPids(): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number);
}

/** hl-runner overwrites its command line and environment with a title: its listening socket still tells whose it is. */
function socketsBelow(folder: string): Set<string> {
  const lines = readFileSync("/proc/net/unix", "utf8").split("\n");
  const ours = lines.filter((line) => line.includes(folder));
  return new Set(ours.map((line) => `socket:[${line.trim().split(/\s+/)[6]}]`));
}

function openFiles(pid: number): string[] {
  try {
    return readdirSync(`/proc/${pid}/fd`).map((number) => readLink(pid, `fd/${number}`));
  } catch {
    return [];
  }
}

function readProc(pid: number, name: string): string {
  try {
    return readFileSync(`/proc/${pid}/${name}`, "utf8");
  } catch {
    return ""; // It has ended meanwhile, or is somebody else's.
  }
}

function readLink(pid: number, name: string): string {
  try {
    return readlinkSync(`/proc/${pid}/${name}`);
  } catch {
    return "";
  }
}
