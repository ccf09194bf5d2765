import { setImmediate } from "node:timers/promises";
import type { ResultOf } from "@hl/protocol/method.ts";
import type { commandList } from "@hl/protocol/methods/command-list.ts";
import type { LiveUsage } from "../runner/live-usage.ts";
import type { CommandRecord } from "../store/command-records.ts";
import type { Command } from "./command.ts";
import { statusOf, type Ending } from "./ending.ts";

/** A command as lists have it: `pid` is 0 before it has one; what lingers has ended and left something running. */
export type ListedCommand = CommandRecord & { readonly pid: number; readonly lingers: boolean };

type Described = ResultOf<typeof commandList>["commands"][number];

/** Reading what a tree of processes takes is some hundred microseconds: others have their turn between so many. */
const measuredInARow = 8;

/** It runs, or has left something running that cancel can reach. */
export function isRunning({ ending, run }: Command): boolean {
  return ending === undefined || run?.isEmpty === false;
}

/** An end is known in memory before it is on disk. */
export function listedOf(record: CommandRecord, live: Command | undefined): ListedCommand {
  const ending = (record.ending as Ending | undefined) ?? live?.ending;
  if (ending === undefined) return { ...record, pid: live?.run?.pid ?? 0, lingers: false };
  return { ...record, endedMs: ending.endedMs, ending, pid: ending.pid, lingers: live?.run?.isEmpty === false };
}

/** @param argsBytesMax of its arguments; undefined: all of them */
export function describe(record: ListedCommand, argsBytesMax: number | undefined): Described {
  const ending = record.ending as Ending | undefined;
  const args = argsBytesMax === undefined ? [...record.args] : cut(record.args, argsBytesMax);
  const isWhole = args.length === record.args.length && args.at(-1) === record.args.at(-1);
  return {
    command_id: record.commandId,
    command: record.command,
    args,
    ...(isWhole ? {} : { args_truncated: true }),
    status: ending === undefined ? "started" : statusOf(ending),
    ...(ending === undefined ? {} : { reason: ending.reason, ended_at: ending.endedMs / 1000 }),
    ...(ending?.exitCode === undefined ? {} : { exit_code: ending.exitCode }),
    process_id: record.pid,
    ...(record.lingers ? { lingering: true } : {}),
    started_at: record.startedMs / 1000,
  };
}

/** Adds to each that runs what it takes. */
export async function measure(
  listed: Described[],
  usageOf: (commandId: string) => LiveUsage | undefined,
  signal: AbortSignal,
): Promise<void> {
  let measured = 0;
  for (const one of listed) {
    if (one.status !== "started" && one.lingering !== true) continue;
    const usage = usageOf(one.command_id);
    if (usage !== undefined) one.usage = wireUsage(usage);
    measured += 1;
    if (measured % measuredInARow === 0) await setImmediate(undefined, { signal });
  }
}

function wireUsage({ cpuMs, memoryBytes, source }: LiveUsage): NonNullable<Described["usage"]> {
  const memory = memoryBytes === undefined ? {} : { memory_mb: Math.round(memoryBytes / 104_857.6) / 10 };
  return { cpu_time: cpuMs, ...memory, source };
}

/** As many as fit, the last of them cut between characters; each counts one byte more, so that empty ones have a limit too. */
function cut(args: readonly string[], bytesMax: number): string[] {
  const kept: string[] = [];
  let left = bytesMax;
  for (const argument of args) {
    const bytes = Buffer.byteLength(argument) + 1;
    if (bytes > left) {
      const begin = beginningOf(argument, left - 1);
      if (begin !== "") kept.push(begin);
      return kept;
    }
    kept.push(argument);
    left -= bytes;
  }
  return kept;
}

function beginningOf(text: string, bytesMax: number): string {
  let kept = "";
  let bytes = 0;
  for (const character of text.slice(0, Math.max(0, bytesMax))) {
    bytes += Buffer.byteLength(character);
    if (bytes > bytesMax) break;
    kept += character;
  }
  return kept;
}
