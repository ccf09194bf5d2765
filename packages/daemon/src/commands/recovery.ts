import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Clock } from "@hl/core/clock.ts";
import { errorText, type Logger } from "@hl/core/logger.ts";
import { settledWithin } from "@hl/core/service.ts";
import { StartFailed } from "../runner/records.ts";
import type { Runner } from "../runner/runner.ts";
import type { CommandRecord, CommandRecords } from "../store/command-records.ts";
import { commandOf } from "./command-identity.ts";
import type { Command } from "./command.ts";
import type { LiveCommands } from "./live-commands.ts";

export interface RecoveryOptions {
  readonly runner: Runner;
  readonly records: CommandRecords;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly live: LiveCommands;
}

/** Runs that are looked up at once. */
const lookedUpAtOnce = 16;
/** One run that gives no answer does not hold up the others, nor all of them the start of the daemon. */
const runMsMax = 2_000;
const startMsMax = 5_000;
/** Runs of agents belong to claude/, those of hl-workspace to workspace/. */
const foreignPrefixes = ["agent_", "workspace_"];

/**
 * After a restart: finds out what became of every run that has an unfinished record or a state folder (P3). What cannot be told yet stays
 * `started` and goes on being asked for.
 */
export class Recovery {
  readonly #options: RecoveryOptions;
  readonly #stopping = new AbortController();

  constructor(options: RecoveryOptions) {
    this.#options = options;
  }

  /** Resolves when everything is known, or after a bounded time; the rest is found out behind it. */
  async run(): Promise<void> {
    const { records, clock, logger, live } = this.#options;
    const expected = records.unfinished().map((record) => ({ record, command: commandOf(record) }));
    for (const { command } of expected) live.add(command);
    const unfinished = this.#eachOf(expected, ({ record, command }) => this.#lookUp(command, record));
    // Beside them: one that gives no answer must not keep cancel from what an ended command has left running (P1).
    const folders = this.#tidyFolders(new Set(expected.map(({ record }) => record.runId)));
    folders.catch((error: unknown) => logger.error({ error: errorText(error) }, "looking after old runs failed"));
    const [isKnown] = await Promise.all([unfinished, folders].map((work) => settledWithin(clock, startMsMax, work)));
    if (isKnown === false)
      logger.warn(
        { commands: expected.length },
        "what became of some commands is not known yet; they count as started",
      );
  }

  stop(): void {
    this.#stopping.abort(new Error("the daemon is stopping"));
  }

  async #lookUp(command: Command, record: CommandRecord): Promise<void> {
    const run = await this.#options.runner.find(record.runId, this.#stopping.signal);
    await this.#options.live.found(command, record, run);
  }

  /** Folders of ended commands of which something may live, and folders that belong to nothing. */
  async #tidyFolders(expected: ReadonlySet<string>): Promise<void> {
    const { runner, records, live } = this.#options;
    const isOurs = (id: string): boolean => !foreignPrefixes.some((prefix) => id.startsWith(prefix));
    const others = (await runner.list()).filter((id) => !expected.has(id) && isOurs(id));
    const commands = records.commandIdsByRun(); // Behind the list: a record is older than its folder.
    await this.#eachOf(others, async (id) => {
      const commandId = commands.get(id);
      if (live.all().some((command) => command.runId === id)) return; // Started meanwhile, by this daemon.
      if (commandId === undefined) await this.#removeStray(id);
      else if (this.#mayLive(id)) await this.#lookUpEnded(commandId);
    });
  }

  /** A shim that has left has recorded the end and taken its socket away. */
  #mayLive(id: string): boolean {
    const directory = join(this.#options.runner.stateDirectory, id);
    return existsSync(join(directory, "attach.sock")) || !existsSync(join(directory, "end"));
  }

  async #lookUpEnded(commandId: string): Promise<void> {
    const { runner, records, logger, live } = this.#options;
    const record = records.find(commandId);
    if (record?.ending === undefined) return;
    const run = await runner.find(record.runId, this.#stopping.signal);
    if (run === undefined || run.isEmpty) return;
    logger.info({ command_id: commandId, pid: run.pid }, "a command that has ended left something running");
    live.linger(record, run);
  }

  /** Left by a crash between two steps; nobody could reach what lives in it (P1). */
  async #removeStray(id: string): Promise<void> {
    const { runner, logger } = this.#options;
    try {
      await runner.remove(id);
    } catch (error) {
      if (!(error instanceof StartFailed && error.stage === "alive")) {
        logger.warn({ run_id: id, error: errorText(error) }, "the folder of a run that nobody knows cannot be removed");
        return;
      }
      const run = await runner.find(id, this.#stopping.signal);
      run?.stop("daemon_lost", 0);
      await run?.empty;
      run?.release();
      await run?.left; // Before that its folder is in use.
      await run?.forget();
    }
    logger.warn({ run_id: id }, "a run that nobody knows was ended and removed");
  }

  async #eachOf<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
    const { clock, logger } = this.#options;
    const queue = items.values();
    const late: Promise<void>[] = [];
    const worker = async (): Promise<void> => {
      for (const item of queue) {
        if (this.#stopping.signal.aborted) return;
        const done = work(item).catch((error: unknown) => {
          if (!this.#stopping.signal.aborted)
            logger.error({ error: errorText(error) }, "an old run could not be looked up");
        });
        if (!(await settledWithin(clock, runMsMax, done))) late.push(done);
      }
    };
    await Promise.all(Array.from({ length: lookedUpAtOnce }, worker));
    await Promise.all(late);
  }
}
