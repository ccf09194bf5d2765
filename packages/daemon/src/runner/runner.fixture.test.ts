/** Runs over the real hl-runner in a folder of its own; what a test leaves running is ended. */
import { mkdirSync, readFileSync, realpathSync } from "node:fs";
import { join } from "node:path";
import { temporaryFolder } from "@hl/testkit/programs.ts";
import { findRunnerBinary } from "../host-facts.ts";
import { followRun } from "./follow.ts";
import { decodeFields, tag } from "./frames.ts";
import type { OutputSource } from "./output-source.ts";
import type { StartRequest } from "./records.ts";
import { Resident } from "./resident.ts";
import type { Run } from "./run.ts";
import { Runner } from "./runner.ts";

export interface World extends AsyncDisposable {
  readonly root: string;
  readonly runner: Runner;
  readonly socketPath: string;
  /** kill -9; its shims go on. */
  killResident(): Promise<void>;
  startResident(): Promise<void>;
  /** The daemon goes, the process stays. */
  leave(run: Run): void;
  start(id: string, script: string, more?: Partial<StartRequest>): Promise<Run>;
}

export async function world(): Promise<World> {
  await using stack = new AsyncDisposableStack();
  const root = realpathSync(stack.use(temporaryFolder("hlr")).path);
  mkdirSync(join(root, "state"));
  const socketPath = join(root, "r.sock");
  const stateDirectory = join(root, "state");
  let resident = await Resident.start(findRunnerBinary(), socketPath, stateDirectory);
  stack.defer(() => resident[Symbol.asyncDispose]());
  const killResident = async (): Promise<void> => {
    process.kill(resident.pid, "SIGKILL");
    await resident.exited;
  };
  const startResident = async (): Promise<void> => {
    resident = await Resident.start(findRunnerBinary(), socketPath, stateDirectory);
  };
  const runner = stack.use(new Runner({ socketPath, stateDirectory, warmShims: 1, random: () => 0.1 }));
  await runner.open();
  const runs = new Set<Run>();
  stack.defer(async () => {
    for (const run of runs) run.stop("shutdown", 0);
    await Promise.all([...runs].map(({ empty }) => empty));
    for (const run of runs) run.detach();
  });
  const owned = stack.move();
  const start: World["start"] = async (id, script, more = {}) => {
    const run = await runner.start({
      id,
      argv: ["/bin/sh", "-c", script],
      env: { PATH: "/usr/bin:/bin" },
      cwd: root,
      stdin: "pipe",
      graceMs: 2_000,
      openFilesMax: 64,
      logBytesMax: 1_048_576,
      ...more,
    });
    runs.add(run);
    return run;
  };
  const leave = (run: Run): void => {
    run.detach();
    runs.delete(run);
  };
  return {
    root,
    runner,
    socketPath,
    killResident,
    startResident,
    start,
    leave,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

export async function textOf(run: OutputSource, from = 0): Promise<string> {
  let text = "";
  for await (const { chunks } of followRun(run, from, new AbortController().signal)) {
    for (const { data } of chunks) text += data.toString("latin1");
  }
  return text;
}

/** Of a run that has published its identity. */
export function shimPidOf(run: Run): number {
  const identity = readFileSync(join(run.directory, "identity"));
  return decodeFields(identity.subarray(5, 4 + identity.readUInt32LE(0))).number(tag.shimPid)!;
}
