/** The table of commands over the real hl-runner, a real database and real folders; `restart` is a daemon that begins anew. */
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { existsSync, mkdirSync, realpathSync, watch } from "node:fs";
import { dirname, join } from "node:path";
import { systemClock } from "@hl/core/clock.ts";
import { silentLogger } from "@hl/core/logger.ts";
import { temporaryFolder } from "@hl/testkit/programs.ts";
import { findRunnerBinary } from "../host-facts.ts";
import { Resident } from "../runner/resident.ts";
import { Runner } from "../runner/runner.ts";
import { CommandRecords } from "../store/command-records.ts";
import { Database } from "../store/database.ts";
import type { Command } from "./command.ts";
import { Commands, type CommandsOptions } from "./commands.ts";
import type { Ending } from "./ending.ts";
import { Planner, type ExecuteParams, type PlanSettings } from "./plan.ts";

export function planSettings(root: string, changes: Partial<PlanSettings> = {}): PlanSettings {
  return {
    policy: { allowed: ["*"], blocked: ["sudo"] },
    paths: { allowedPaths: [join(root, "workspace")], blockedPaths: [] },
    workspace: join(root, "workspace"),
    sandboxed: false,
    sandboxProblem: undefined,
    network: { kind: "host" },
    agentNetwork: { kind: "host" },
    noNetwork: { kind: "host" },
    allowNamespaces: false,
    readOnlyPaths: [],
    temporaryRoot: join(root, "temporary"),
    user: "dev",
    users: ["dev"],
    environment: {},
    timeoutMs: 60_000,
    timeoutMsMax: 120_000,
    idleTimeoutMs: undefined,
    stopGraceMs: 2_000,
    openFilesMax: 256,
    logBytesMax: 1_048_576,
    memoryBytesMax: 2 ** 30,
    cpuPercentMax: 100,
    processesMax: 4096,
    ...changes,
  };
}

export interface Daemon {
  readonly commands: Commands;
  readonly records: CommandRecords;
  readonly runner: Runner;
  readonly started: Command[];
  readonly ended: { readonly id: string; readonly ending: Ending }[];
}

export class CommandsFixture implements AsyncDisposable {
  readonly root: string;
  readonly stateDirectory: string;
  readonly temporaryRoot: string;
  readonly #folder: Disposable;
  readonly #resident: Resident;
  readonly #opened: AsyncDisposableStack[] = [];

  private constructor(folder: { readonly path: string } & Disposable, root: string, resident: Resident) {
    this.#folder = folder;
    this.#resident = resident;
    this.root = root;
    this.stateDirectory = join(root, "state");
    this.temporaryRoot = join(root, "temporary");
  }

  static async make(): Promise<CommandsFixture> {
    const folder = temporaryFolder("hlc");
    const root = realpathSync(folder.path);
    for (const name of ["workspace", "state"]) mkdirSync(join(root, name));
    const resident = await Resident.start(findRunnerBinary(), join(root, "r.sock"), join(root, "state"));
    return new CommandsFixture(folder, root, resident);
  }

  /** A daemon over what is there: the database, the shims, the logs. */
  async open(changes: Partial<CommandsOptions> = {}, plan: Partial<PlanSettings> = {}): Promise<Daemon> {
    await using stack = new AsyncDisposableStack();
    const database = stack.use(new Database(join(this.root, "daemon.db")));
    const records = new CommandRecords(database);
    const runner = stack.use(
      new Runner({ socketPath: join(this.root, "r.sock"), stateDirectory: this.stateDirectory, warmShims: 1 }),
    );
    const planner = new Planner(planSettings(this.root, plan));
    runner.prepareWith(() => planner.preparation());
    await runner.open();
    const started: Command[] = [];
    const ended: { id: string; ending: Ending }[] = [];
    const commands = new Commands({
      runner,
      records,
      planner,
      clock: systemClock,
      logger: silentLogger,
      bootId: "boot",
      processesMax: 10,
      stopGraceMs: 2_000,
      onStart: (command) => started.push(command),
      onEnd: async ({ id }, ending) => void ended.push({ id, ending }),
      ...changes,
    });
    this.#opened.push(stack.move());
    return { commands, records, runner, started, ended };
  }

  /** The daemon goes and leaves its commands to their shims. */
  async leave(daemon: Daemon): Promise<void> {
    await daemon.commands.drain(false);
    await this.#opened.pop()?.disposeAsync();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const daemon = await this.open();
    for (const id of await daemon.runner.list()) {
      const run = await daemon.runner.find(id);
      run?.stop("shutdown", 0);
      await run?.empty;
      run?.detach();
    }
    for (const stack of this.#opened.reverse()) await stack.disposeAsync();
    await this.#resident[Symbol.asyncDispose]();
    this.#folder[Symbol.dispose]();
  }
}

export function params(
  command: string,
  args: readonly string[] = [],
  more: Partial<ExecuteParams> = {},
): ExecuteParams {
  const defaults = { stream_output: false, output_encoding: "auto" as const, stdin: false };
  return { command_id: randomUUID(), command, args: [...args], ...defaults, ...more };
}

/** A shell script as a command. */
export const script = (text: string, more: Partial<ExecuteParams> = {}): ExecuteParams =>
  params("sh", ["-c", text], more);

/** Resolves when the file is there; nothing polls. */
export async function appears(path: string): Promise<void> {
  const watcher = watch(dirname(path));
  try {
    while (!existsSync(path)) await once(watcher, "change");
  } finally {
    watcher.close();
  }
}
