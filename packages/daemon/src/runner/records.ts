import { decodeFields, tag, type Fields } from "./frames.ts";

/** What a shim reports, as values. The same bytes travel in frames and lie in the files `end` and `identity`. */
export interface StartRequest {
  /** Names the state folder of this run; 1 to 64 of `[A-Za-z0-9_-]`. */
  readonly id: string;
  readonly argv: readonly string[];
  /** What the program sees as its own name, where that differs from the file. */
  readonly argv0?: string | undefined;
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
  readonly stdin: "null" | "pipe" | TerminalSize;
  readonly timeoutMs?: number | undefined;
  readonly idleTimeoutMs?: number | undefined;
  readonly graceMs: number;
  readonly openFilesMax: number;
  readonly logBytesMax: number;
  /** Of the whole tree; undefined: no limit. The same for the next two. */
  readonly memoryBytesMax?: number | undefined;
  /** 100 is one processor. */
  readonly cpuPercentMax?: number | undefined;
  readonly processesMax?: number | undefined;
  /** Folders made for it where they are missing, outer ones first. */
  readonly directories?: readonly string[] | undefined;
  /** Its private folder: made for it, and removed with all it holds when nothing of it runs any more. */
  readonly temporary?: string | undefined;
  /** Undefined: no sandbox was asked for. */
  readonly sandbox?: SandboxRules | undefined;
  /** Absent: `host`. Any other needs `sandbox`. */
  readonly network?: NetworkKind | undefined;
  /** Where the daemon's proxy listens: an absolute path of at most 107 bytes. For `proxy` only. */
  readonly proxySocket?: string | undefined;
  /** Whether a sandboxed program may make namespaces of its own. Absent: no. */
  readonly allowNamespaces?: boolean | undefined;
}

/** What holds a process in. */
export type Confinement = Pick<StartRequest, "sandbox" | "network" | "proxySocket" | "allowNamespaces">;

/** `host`: the machine's network; `none`: nothing but a loopback of its own; `proxy`: the same, and on it the port of the daemon's proxy. */
export type NetworkKind = "host" | "none" | "proxy";

/** Asks for a terminal (PTY) as standard input, output and error. */
export interface TerminalSize {
  readonly rows: number;
  readonly columns: number;
}

/** What a shim can do before it is known what it will start. */
export interface Preparation {
  readonly directories: readonly string[];
  /** Rules for all that it may start; undefined where there is no sandbox, or where they cannot be known ahead. */
  readonly sandbox: PreparedRules | undefined;
}

export interface PreparedRules extends SandboxRules {
  /** What they were computed from: they are right as long as it is the same. */
  readonly basis: string;
}

/** Absolute paths; a path that does not exist is skipped by the shim. */
export interface SandboxRules {
  readonly read: readonly string[];
  readonly write: readonly string[];
}

export type StdinKind = "null" | "pipe" | "terminal";

export interface StartedRecord {
  readonly pid: number;
  readonly shimPid: number;
  /** Absolute path of the run's control group, where it has one. */
  readonly cgroup: string | undefined;
}

export interface OutputMark {
  /** Bytes of both streams together. */
  readonly position: number;
  readonly stdoutBytes: number;
  readonly stderrBytes: number;
}

export type EndReason =
  "exited" | "signalled" | "timeout" | "idle_timeout" | "cancelled" | "oom" | "shutdown" | "daemon_lost" | "unknown";

const usageSources = ["cgroup", "watch", "wait4"] as const;

/** `cgroup`: the kernel's figures of the whole tree; `watch`: memory as it was seen; `wait4`: of what was waited for. */
export type UsageSource = (typeof usageSources)[number];

export interface EndRecord extends OutputMark {
  readonly reason: EndReason;
  readonly exitCode: number | undefined;
  readonly signal: number | undefined;
  readonly pid: number;
  readonly startedMs: number;
  readonly endedMs: number;
  readonly durationMs: number;
  /** Of the largest process. */
  readonly maxRssMb: number;
  /** Of the whole tree; undefined where nobody knows. */
  readonly memoryPeakMb: number | undefined;
  /** Where the figures come from; undefined for a shim of before. */
  readonly usageSource: UsageSource | undefined;
  readonly oomKills: number;
  readonly cpuMs: number;
  readonly pipesStillOpen: boolean;
  readonly droppedBytes: number;
}

/** Nothing was started; `stage` says which step of the shim refused. */
export class StartFailed extends Error {
  override readonly name = "StartFailed";
  readonly stage: string;
  readonly errno: number;

  constructor(stage: string, errno: number, message: string) {
    super(message);
    this.stage = stage;
    this.errno = errno;
  }
}

export function outputMark(fields: Fields): OutputMark {
  return {
    position: fields.number(tag.position) ?? 0,
    stdoutBytes: fields.number(tag.stdoutBytes) ?? 0,
    stderrBytes: fields.number(tag.stderrBytes) ?? 0,
  };
}

const reasons = new Set<string>([
  "exited",
  "signalled",
  "timeout",
  "idle_timeout",
  "cancelled",
  "oom",
  "shutdown",
  "daemon_lost",
]);

export function endRecord(fields: Fields): EndRecord {
  const reason = fields.text(tag.reason) ?? "unknown";
  const peakKb = fields.number(tag.memoryPeakKb);
  return {
    ...outputMark(fields),
    reason: reasons.has(reason) ? (reason as EndReason) : "unknown",
    exitCode: fields.number(tag.exitCode),
    signal: fields.number(tag.signal),
    pid: fields.number(tag.pid) ?? 0,
    startedMs: fields.number(tag.startedMs) ?? 0,
    endedMs: fields.number(tag.endedMs) ?? 0,
    durationMs: (fields.number(tag.durationUs) ?? 0) / 1000,
    maxRssMb: (fields.number(tag.maxRssKb) ?? 0) / 1024,
    memoryPeakMb: peakKb === undefined ? undefined : peakKb / 1024,
    usageSource: usageSources.find((source) => source === fields.text(tag.usageSource)),
    oomKills: fields.number(tag.oomKills) ?? 0,
    cpuMs: (fields.number(tag.cpuUs) ?? 0) / 1000,
    pipesStillOpen: fields.number(tag.pipesStillOpen) === 1,
    droppedBytes: fields.number(tag.droppedBytes) ?? 0,
  };
}

/** The file `end` holds one whole END frame; undefined when it is cut off. */
export function endRecordOfFile(bytes: Buffer): EndRecord | undefined {
  if (bytes.length < 5 || bytes.readUInt32LE(0) !== bytes.length - 4) return undefined;
  return endRecord(decodeFields(bytes.subarray(5)));
}
