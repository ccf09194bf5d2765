import { existsSync, watch } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { Backoff } from "@hl/core/backoff.ts";
import type { Clock } from "@hl/core/clock.ts";
import { logExtent } from "./log-extent.ts";
import { endRecordOfFile, StartFailed, type EndRecord, type OutputMark, type StartedRecord } from "./records.ts";
import { Shim } from "./shim.ts";

/** What became of a run whose connection is gone, or that an earlier daemon has started. */
export type Fate =
  | { readonly kind: "lives"; readonly shim: Shim; readonly started: StartedRecord }
  /** `output` may reach further than the end: what outlived the main process may have written behind it (P4). */
  | { readonly kind: "ended"; readonly end: EndRecord; readonly output: OutputMark }
  /** Nothing of it lives, and nobody saw its end. */
  | { readonly kind: "unseen"; readonly output: OutputMark }
  /** It has no folder, so it has never come to start anything. */
  | { readonly kind: "absent" };

export interface FatePorts {
  /** Where the resident listens. */
  readonly socketPath: string;
  readonly stateDirectory: string;
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly random: () => number;
}

/** Between two questions about a shim that lives and does not listen, or to a resident that does not answer. */
const askAgainMs = { minMs: 50, maxMs: 10_000 };

/**
 * Finds out, and does not guess (P2): attach; else ask a fresh shim whether the run's own shim lives. One that lives is going to listen,
 * so its folder is watched; of one that is gone everything it left is ended by that question (P1), and then its end record, or
 * the absence of one, is the answer. While the resident cannot be reached nothing can be said, and it is asked again.
 * Rejects only when the signal aborts.
 */
export async function findFate(ports: FatePorts, id: string, signal: AbortSignal): Promise<Fate> {
  const directory = join(ports.stateDirectory, id);
  const backoff = new Backoff({ ...askAgainMs, random: ports.random });
  for (;;) {
    signal.throwIfAborted();
    const attached = (await attach(directory, signal)) ?? (await sweep(ports, id));
    if (attached === "gone") return fateOfFolder(directory);
    if (typeof attached === "object") return attached;
    if (attached === "alive") {
      const found = await attachOnceItListens(directory, backoff.nextMs() + askAgainMs.minMs, ports.clock, signal);
      if (found !== undefined) return found;
    } else {
      await ports.clock.sleep(backoff.nextMs(), signal);
    }
  }
}

/** Undefined when nobody listens there, or whoever did is just leaving. */
async function attach(directory: string, signal: AbortSignal): Promise<Fate | undefined> {
  const shim = await Shim.connect(join(directory, "attach.sock")).catch(() => undefined);
  if (shim === undefined) return undefined;
  // A shim that was stopped takes the connection and says nothing.
  const giveUp = (): void => shim.detach();
  signal.addEventListener("abort", giveUp, { once: true });
  if (signal.aborted) giveUp();
  try {
    return { kind: "lives", shim, started: await shim.started };
  } catch {
    shim.detach();
    return undefined;
  } finally {
    signal.removeEventListener("abort", giveUp);
  }
}

async function sweep(ports: FatePorts, id: string): Promise<"gone" | "alive" | "unknown"> {
  try {
    const shim = await Shim.connect(ports.socketPath);
    try {
      await shim.clear({ id });
    } finally {
      shim.detach();
    }
    return "gone";
  } catch (error) {
    return error instanceof StartFailed && error.stage === "alive" ? "alive" : "unknown";
  }
}

/** Watches first and looks then, so that a socket that appears in between is not missed. */
async function attachOnceItListens(
  directory: string,
  waitMs: number,
  clock: Clock,
  signal: AbortSignal,
): Promise<Fate | undefined> {
  const change = Promise.withResolvers<undefined>();
  const stopWaiting = clock.after(waitMs, () => change.resolve(undefined));
  const onAbort = (): void => change.resolve(undefined);
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    using watcher = watching(directory, () => change.resolve(undefined));
    if (watcher === undefined) await change.promise; // Gone just now, or no watch is left: the time decides.
    const found = await attach(directory, signal);
    if (found !== undefined) return found;
    await change.promise;
    return await attach(directory, signal);
  } finally {
    stopWaiting();
    signal.removeEventListener("abort", onAbort);
  }
}

function watching(directory: string, onChange: () => void): Disposable | undefined {
  try {
    const watcher = watch(directory, onChange);
    watcher.on("error", onChange);
    return { [Symbol.dispose]: () => watcher.close() };
  } catch {
    return undefined;
  }
}

async function fateOfFolder(directory: string): Promise<Fate> {
  const bytes = await readFile(join(directory, "end")).catch(() => undefined);
  const end = bytes === undefined ? undefined : endRecordOfFile(bytes);
  if (end !== undefined) return { kind: "ended", end, output: await outputBehind(directory, end, end.pipesStillOpen) };
  return existsSync(directory) ? { kind: "unseen", output: await logExtent(directory) } : { kind: "absent" };
}

/** What the log of a run that is over has, where its end was recorded before the last of it could be written. */
export async function outputBehind(directory: string, end: OutputMark, pipesStillOpen: boolean): Promise<OutputMark> {
  if (!pipesStillOpen) return end;
  const extent = await logExtent(directory);
  return extent.position > end.position ? extent : end;
}

/** A run that nobody saw end: what it wrote is known, and nothing else (P2). */
export function unknownEnd(pid: number, mark: OutputMark): EndRecord {
  const { position, stdoutBytes, stderrBytes } = mark;
  return {
    position,
    stdoutBytes,
    stderrBytes,
    reason: "unknown",
    exitCode: undefined,
    signal: undefined,
    pid,
    startedMs: 0,
    endedMs: 0,
    durationMs: 0,
    maxRssMb: 0,
    memoryPeakMb: undefined,
    usageSource: undefined,
    oomKills: 0,
    cpuMs: 0,
    pipesStillOpen: false,
    droppedBytes: 0,
  };
}
