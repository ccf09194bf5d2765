import { readdirSync, readFileSync, statfsSync, type StatsFs } from "node:fs";
import { freemem, loadavg, totalmem } from "node:os";

/** Figures of the whole VM, read from the kernel. */
export interface SystemMetrics {
  /** Percent of all cores, since the sample before. */
  readonly cpuPercent: number;
  readonly memoryUsedMb: number;
  readonly memoryPercent: number;
  readonly diskPercent: number;
  readonly diskFreeMb: number;
  readonly load: readonly [number, number, number];
  readonly bytesSent: number;
  readonly bytesReceived: number;
}

interface CpuTimes {
  readonly busy: number;
  readonly total: number;
}

export class SystemSampler {
  readonly #diskPath: string;
  #before: CpuTimes;

  constructor(diskPath: string) {
    this.#diskPath = diskPath;
    this.#before = { busy: 0, total: 0 };
  }

  sample(): SystemMetrics {
    const now = cpuTimes();
    const total = now.total - this.#before.total;
    const busy = now.busy - this.#before.busy;
    this.#before = now;
    const memory = memoryBytes();
    const disk = diskBlocks(this.#diskPath);
    const usable = disk.blocks - disk.bfree + disk.bavail;
    const [load1 = 0, load5 = 0, load15 = 0] = loadavg();
    return {
      cpuPercent: total > 0 ? round((100 * busy) / total) : 0,
      memoryUsedMb: round((memory.total - memory.available) / 1_048_576),
      memoryPercent: round((100 * (memory.total - memory.available)) / memory.total),
      diskPercent: usable > 0 ? round((100 * (disk.blocks - disk.bfree)) / usable) : 0,
      diskFreeMb: Math.floor((disk.bavail * disk.bsize) / 1_048_576),
      load: [load1, load5, load15],
      ...networkBytes(),
    };
  }
}

/** Of the daemon itself, as they go on the wire. */
export interface OwnFigures {
  readonly memory_rss_mb: number;
  readonly cpu_seconds: number;
  readonly open_fds?: number;
}

/** At this moment. */
export function ownFigures(): OwnFigures {
  const { user, system } = process.cpuUsage();
  const descriptors = openDescriptors();
  return {
    memory_rss_mb: round(process.memoryUsage.rss() / 1_048_576),
    cpu_seconds: (user + system) / 1_000_000,
    ...(descriptors === undefined ? {} : { open_fds: descriptors }),
  };
}

/** The one that looks is not counted. */
function openDescriptors(): number | undefined {
  try {
    return readdirSync("/proc/self/fd").length - 1;
  } catch {
    return undefined; // A hardened unit may hide it.
  }
}

const round = (value: number): number => Math.round(value * 10) / 10;

/** Of all cores in one line; `os.cpus()` reads what each one is called and how fast it is, too. Waiting for a disk is no work. */
function cpuTimes(): CpuTimes {
  const ticks = /^cpu +(.*)$/m.exec(readOrEmpty("/proc/stat"))?.[1]?.split(" ").map(Number) ?? [];
  const [user = 0, nice = 0, system = 0, idle = 0, waiting = 0, irq = 0, softirq = 0] = ticks;
  const busy = user + nice + system + irq + softirq;
  return { busy, total: busy + idle + waiting };
}

/** `MemAvailable` counts what the kernel would give back from its caches; `freemem` alone would cry wolf on every machine. */
function memoryBytes(): { total: number; available: number } {
  const text = readOrEmpty("/proc/meminfo");
  const kilobytes = /^MemAvailable:\s+(\d+) kB/m.exec(text)?.[1];
  return { total: totalmem(), available: kilobytes === undefined ? freemem() : Number(kilobytes) * 1024 };
}

/** A disk that cannot be asked has no figures; that must not take health, and with it the daemon, along (S4). */
function diskBlocks(path: string): Pick<StatsFs, "blocks" | "bfree" | "bavail" | "bsize"> {
  try {
    return statfsSync(path);
  } catch {
    return { blocks: 0, bfree: 0, bavail: 0, bsize: 0 };
  }
}

function networkBytes(): { bytesSent: number; bytesReceived: number } {
  let bytesSent = 0;
  let bytesReceived = 0;
  for (const line of readOrEmpty("/proc/net/dev").split("\n").slice(2)) {
    const [name, rest] = line.split(":");
    if (rest === undefined || name?.trim() === "lo") continue;
    const columns = rest.trim().split(/\s+/);
    bytesReceived += Number(columns[0] ?? 0);
    bytesSent += Number(columns[8] ?? 0);
  }
  return { bytesSent, bytesReceived };
}

function readOrEmpty(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return ""; // A hardened unit may hide it; the figure is then zero.
  }
}
