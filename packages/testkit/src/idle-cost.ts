/**
 * What an idle process takes of a processor, and how much of that is its own work. On a virtual machine the first touch of a page after a second of
 * rest can cost a hundred times what it costs otherwise; the kernel counts that as time of the process, and an idle one pays it for nearly all it
 * does. So its resident pages are read by somebody else several times a second, and stay at hand.
 */
import { closeSync, openSync, readdirSync, readFileSync, readSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

const rounds = { restMs: 150, lookMs: 10_000 };
const pageBytes = 4096;
/** Larger ones are address space that V8 has reserved. */
const mappingBytesMax = 2 ** 30;
const isPresent = 1n << 63n;

interface Range {
  readonly start: number;
  readonly bytes: number;
}

/** Processor time of a process so far, in milliseconds, of all its threads that live. */
export function cpuMsOf(pid: number): number {
  const times = readdirSync(`/proc/${pid}/task`).map((task) =>
    readFileSync(`/proc/${pid}/task/${task}/schedstat`, "utf8"),
  );
  return times.reduce((sum, text) => sum + Number(text.split(" ")[0]) / 1e6, 0);
}

/** What each process takes in that time, in percent of one processor. */
export async function processorShares(pids: readonly number[], seconds: number): Promise<number[]> {
  const before = pids.map(cpuMsOf);
  await sleep(seconds * 1000);
  return pids.map((pid, index) => (cpuMsOf(pid) - (before[index] ?? 0)) / seconds / 10);
}

/** The same with their pages kept at hand. */
export async function ownShares(pids: readonly number[], seconds: number): Promise<number[]> {
  const stop = new AbortController();
  const kept = pids.map((pid) => keepPages(pid, stop.signal));
  try {
    await sleep(1000);
    return await processorShares(pids, seconds);
  } finally {
    stop.abort();
    await Promise.all(kept);
  }
}

/** Until `stop` says so. Needs the right to trace the process: its own user, and root where Yama forbids that. */
async function keepPages(pid: number, stop: AbortSignal): Promise<void> {
  const memory = openSync(`/proc/${pid}/mem`, "r");
  const page = openSync(`/proc/${pid}/pagemap`, "r");
  try {
    let ranges: readonly Range[] = [];
    let lookedAt = -Infinity;
    while (!stop.aborted) {
      if (performance.now() - lookedAt > rounds.lookMs) {
        ranges = mappingsOf(pid).flatMap((mapping) => residentIn(page, mapping));
        lookedAt = performance.now();
      }
      for (const range of ranges) touch(memory, range);
      await sleep(rounds.restMs);
    }
  } finally {
    closeSync(memory);
    closeSync(page);
  }
}

function mappingsOf(pid: number): Range[] {
  const lines = readFileSync(`/proc/${pid}/maps`, "latin1").matchAll(
    /^([0-9a-f]+)-([0-9a-f]+) r\S+ \S+ \S+ \S+ *(.*)$/gm,
  );
  return [...lines].flatMap(([, from = "", to = "", name = ""]) => {
    const start = Number.parseInt(from, 16);
    const bytes = Number.parseInt(to, 16) - start;
    return bytes > mappingBytesMax || /^\[v|io_uring/.test(name) ? [] : [{ start, bytes }];
  });
}

/** The parts of a mapping that are in memory, as long as they lie together. */
function residentIn(pagemap: number, { start, bytes }: Range): Range[] {
  const entries = new BigUint64Array(bytes / pageBytes);
  readSync(pagemap, entries, 0, entries.byteLength, (start / pageBytes) * 8);
  const found: Range[] = [];
  let from: number | undefined;
  for (let index = 0; index <= entries.length; index += 1) {
    const here = index < entries.length && ((entries[index] ?? 0n) & isPresent) !== 0n;
    if (here) from ??= index;
    else if (from !== undefined) {
      found.push({ start: start + from * pageBytes, bytes: (index - from) * pageBytes });
      from = undefined;
    }
  }
  return found;
}

const sink = Buffer.alloc(2 ** 20);

function touch(memory: number, { start, bytes }: Range): void {
  for (let done = 0; done < bytes; done += sink.length) {
    try {
      readSync(memory, sink, 0, Math.min(sink.length, bytes - done), start + done);
    } catch {
      return; // Unmapped since it was looked at.
    }
  }
}
