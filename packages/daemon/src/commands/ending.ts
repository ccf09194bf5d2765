import { constants } from "node:os";
import type { CommandReason, CommandResult } from "@hl/protocol/methods/command-result.ts";
import type { EndRecord, OutputMark, UsageSource } from "../runner/records.ts";

/** The recorded end of a command: what its result says besides the output itself. Stored as JSON. */
export interface Ending {
  readonly reason: CommandReason;
  readonly exitCode: number | undefined;
  readonly signal: string | undefined;
  readonly pid: number;
  readonly startedMs: number;
  readonly endedMs: number;
  readonly durationMs: number;
  readonly maxRssMb: number;
  /** Missing in records of before. */
  readonly memoryPeakMb?: number | undefined;
  readonly usageSource?: UsageSource | undefined;
  readonly oomKills?: number | undefined;
  readonly cpuMs: number;
  readonly position: number;
  readonly stdoutBytes: number;
  readonly stderrBytes: number;
  readonly pipesStillOpen: boolean;
}

/** Where the shim could not say when (its end was not seen), what the daemon knows holds, so that nothing happened in 1970. */
export function endingOf(end: EndRecord, launchedMs: number, nowMs: number): Ending {
  const { reason, exitCode, pid, durationMs, maxRssMb, memoryPeakMb, usageSource, oomKills, cpuMs } = end;
  const startedMs = end.startedMs === 0 ? launchedMs : end.startedMs;
  const endedMs = end.endedMs === 0 ? nowMs : end.endedMs;
  const { position, stdoutBytes, stderrBytes, pipesStillOpen } = end;
  const signal = end.signal === undefined ? undefined : signalName(end.signal);
  const times = { startedMs, endedMs, durationMs };
  return {
    reason,
    exitCode,
    signal,
    pid,
    ...times,
    maxRssMb,
    memoryPeakMb,
    usageSource,
    oomKills,
    cpuMs,
    position,
    stdoutBytes,
    stderrBytes,
    pipesStillOpen,
  };
}

const noOutput: OutputMark = { position: 0, stdoutBytes: 0, stderrBytes: 0 };

/** A command whose end nobody saw: the machine stopped under it. It is never run again by itself (C1); what it wrote is there (P2). */
export function interruptedEnding(startedMs: number, nowMs: number, written: OutputMark = noOutput): Ending {
  return {
    reason: "interrupted",
    exitCode: undefined,
    signal: undefined,
    pid: 0,
    startedMs,
    endedMs: nowMs,
    durationMs: 0,
    maxRssMb: 0,
    cpuMs: 0,
    position: written.position,
    stdoutBytes: written.stdoutBytes,
    stderrBytes: written.stderrBytes,
    pipesStillOpen: false,
  };
}

/** What a result and an event say of its resources. Memory is the tree's where somebody knows it, else the largest process's. */
export function usageOf(ending: Ending): CommandResult["resource_usage"] {
  const { usageSource: source, oomKills = 0 } = ending;
  return {
    max_memory: ending.memoryPeakMb ?? ending.maxRssMb,
    cpu_time: ending.cpuMs,
    ...(source === undefined ? {} : { source }),
    ...(oomKills === 0 ? {} : { oom_kills: oomKills }),
  };
}

/** P2: success is exit code 0 and nothing else. */
export function statusOf(ending: Ending): CommandResult["status"] {
  if (ending.reason === "exited" && ending.exitCode === 0) return "completed";
  return ending.reason === "timeout" || ending.reason === "idle_timeout" ? "timeout" : "failed";
}

const nameByNumber = new Map(Object.entries(constants.signals).map(([name, value]) => [value, name]));

export function signalName(number: number): string {
  return nameByNumber.get(number) ?? `SIG${number}`;
}

export function signalNumber(name: string): number | undefined {
  return (constants.signals as Readonly<Record<string, number>>)[name];
}
