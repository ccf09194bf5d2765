import { createHash, randomUUID } from "node:crypto";
import { setImmediate } from "node:timers/promises";
import type { Clock } from "@hl/core/clock.ts";
import { errorText, type Logger } from "@hl/core/logger.ts";
import { settledWithin } from "@hl/core/service.ts";
import { HlError } from "@hl/protocol/errors.ts";
import type { Runner } from "../runner/runner.ts";
import type { CommandRecord, CommandRecords } from "../store/command-records.ts";
import { Command } from "./command.ts";
import { endingOf, interruptedEnding, type Ending } from "./ending.ts";
import type { ExecuteParams, LaunchPlan, Planner } from "./plan.ts";
import { startError } from "./start-error.ts";

export interface CommandsOptions {
  readonly runner: Runner;
  readonly records: CommandRecords;
  readonly planner: Planner;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly bootId: string;
  readonly processesMax: number;
  readonly stopGraceMs: number;
  /** Ends are told to whoever reports them as events. */
  readonly onStart: (command: Command) => void;
  readonly onEnd: (command: Command, ending: Ending) => void;
}

/**
 * The table of commands. A command is in `#live` from the moment it is accepted until its end is stored and nothing of it
 * runs any more, so that memory does not grow with finished commands (P7); its durable record is written before it starts
 * (C1), and after a restart the table is rebuilt from the records and the shims (P3).
 */
export class Commands {
  readonly #options: CommandsOptions;
  readonly #live = new Map<string, Command>();
  #running = 0;
  #accepting = true;

  constructor(options: CommandsOptions) {
    this.#options = options;
  }

  get running(): number {
    return this.#running;
  }

  get finished(): number {
    return this.#options.records.finishedCount();
  }

  /** Commands that are held in memory. */
  get held(): number {
    return this.#live.size;
  }

  runningIds(): string[] {
    return [...this.#live.values()].filter((command) => command.ending === undefined).map((command) => command.id);
  }

  /** Starts the command, or finds the one that this id started before. Resolves when it runs. */
  async execute(params: ExecuteParams): Promise<Command> {
    const paramsHash = hashOf(params);
    // Looked up again after the wait: of two that come together the second finds the first one (C1).
    const known = (await this.#find(params.command_id)) ?? this.#live.get(params.command_id);
    if (known !== undefined) {
      if (known.paramsHash !== paramsHash) {
        const text = `command_id ${JSON.stringify(params.command_id)} was used before with other parameters`;
        throw new HlError("command_id_conflict", text, { command_id: params.command_id });
      }
      await known.launched;
      return known;
    }
    if (!this.#accepting) throw new HlError("shutting_down", "the daemon is stopping and starts no command");
    const { processesMax } = this.#options;
    if (this.#running >= processesMax) {
      throw new HlError("process_limit", `${processesMax} commands are running, which is max_processes`, {
        max_processes: processesMax,
      });
    }
    const plan = this.#options.planner.plan(params, randomUUID());
    return this.#launch(params, paramsHash, plan);
  }

  async get(commandId: string): Promise<Command> {
    const command = await this.#find(commandId);
    if (command === undefined)
      throw new HlError("command_unknown", `there is no command ${JSON.stringify(commandId)}`, {
        command_id: commandId,
      });
    return command;
  }

  /** Stops the whole tree, also what outlived the command itself (P1), and answers when it is gone. */
  async cancel(command: Command, graceMs: number | undefined): Promise<void> {
    await command.launched.catch(() => {}); // One that is just starting is stopped as soon as there is something to stop.
    const run = command.run;
    if (run === undefined) return;
    const grace = graceMs ?? this.#options.stopGraceMs;
    run.stop("cancelled", grace);
    await settledWithin(this.#options.clock, grace + 10_000, Promise.all([command.ended, run.empty]));
  }

  /** Newest first; `pid` is 0 before it has one. */
  list(limit: number): (CommandRecord & { readonly pid: number })[] {
    // An end is known here before it is on disk.
    return this.#options.records.newest(limit).map((record) => {
      const live = this.#live.get(record.commandId);
      const ending = (record.ending as Ending | undefined) ?? live?.ending;
      if (ending === undefined) return { ...record, pid: live?.run?.pid ?? 0 };
      return { ...record, endedMs: ending.endedMs, ending, pid: ending.pid };
    });
  }

  /** After a restart: attaches to what still runs, takes up the ends that were missed, and says what nobody saw. */
  async recover(): Promise<void> {
    const { runner, records, planner, logger, clock } = this.#options;
    for (const record of records.unfinished()) {
      const command = commandOf(record);
      this.#live.set(command.id, command);
      const run = await runner.find(record.runId);
      if (run === undefined) {
        const ending = interruptedEnding(record.startedMs, clock.wallMs());
        logger.warn({ command_id: command.id }, "nobody saw the end of this command: it is reported as interrupted");
        await records.end(command.id, ending.endedMs, ending);
        command.end(ending);
        planner.cleanUp(record.runId);
        this.#options.onEnd(command, ending);
        continue;
      }
      logger.info({ command_id: command.id, pid: run.pid, ended: run.end !== undefined }, "found a command of before");
      this.#running += 1;
      command.launch(run);
      this.#follow(command);
    }
  }

  /** Refuses new commands; with `stopAll` ends the running ones, else leaves them to their shims. */
  async drain(stopAll: boolean): Promise<void> {
    this.#accepting = false;
    const { clock, stopGraceMs } = this.#options;
    const runs = [...this.#live.values()].map((command) => command.run).filter((run) => run !== undefined);
    if (stopAll) {
      for (const run of runs) run.stop("shutdown", stopGraceMs);
      await settledWithin(
        clock,
        stopGraceMs + 5_000,
        Promise.all(runs.map((run) => Promise.all([run.ended, run.empty]))),
      );
    }
    for (const run of runs) run.detach();
  }

  /** Forgets finished commands with their output after the retention. */
  async prune(retentionMs: number): Promise<void> {
    const { records, clock, runner } = this.#options;
    const old = records.endedBefore(clock.wallMs() - retentionMs, 500);
    const forgotten: string[] = [];
    for (const { commandId, runId } of old) {
      if (this.#live.has(commandId)) continue; // Something of it runs in the background, and cancel has to reach it (P1).
      await (await runner.find(runId))?.forget();
      forgotten.push(commandId);
    }
    if (forgotten.length > 0) await records.forget(forgotten);
  }

  async #launch(params: ExecuteParams, paramsHash: string, plan: LaunchPlan): Promise<Command> {
    const { records, runner, planner, clock, logger, bootId } = this.#options;
    const { command_id: id, command: name, args } = params;
    const startedMs = clock.wallMs();
    const command = new Command({ id, runId: plan.request.id, paramsHash, command: name, args, startedMs });
    this.#live.set(id, command);
    this.#running += 1;
    const { runId } = command;
    const recorded = records.begin({ commandId: id, runId, paramsHash, command: name, args, bootId, startedMs });
    const begun = recorded.then(
      () => true,
      () => false,
    );
    try {
      await setImmediate(); // The record is on its way to the disk, which takes longer than making folders.
      plan.prepare();
      await recorded;
      command.launch(await runner.start(plan.request));
    } catch (error) {
      const hasRecord = await begun;
      this.#running -= 1;
      this.#live.delete(id);
      planner.cleanUp(runId);
      const refusal = hasRecord ? startError(error, params.command) : error;
      command.refuse(refusal);
      // The caller gets the first cause; a record that stays is reported as interrupted after a restart.
      if (hasRecord)
        await records.abandon(id).catch((reason: unknown) => {
          logger.error({ command_id: id, error: errorText(reason) }, "a refused command could not be forgotten");
        });
      throw refusal;
    }
    this.#options.onStart(command);
    this.#follow(command);
    return command;
  }

  #follow(command: Command): void {
    const { run } = command;
    const { planner, clock } = this.#options;
    if (run === undefined) return;
    void run.ended.then((end) => {
      this.#running -= 1;
      const ending = endingOf(end, command.startedMs, clock.wallMs());
      command.end(ending);
      this.#options.onEnd(command, ending);
      this.#options.records.end(command.id, ending.endedMs, ending).then(
        () => {
          run.release(); // Only now may the shim leave: until then its end record is the only one (P3).
          // From here on the record and the log know everything; what lives on in the background still has to be reached (P1).
          void run.empty.then(() => this.#live.delete(command.id));
        },
        (error: unknown) =>
          this.#options.logger.error(
            { command_id: command.id, error: errorText(error) },
            "the end of a command could not be stored",
          ),
      );
    });
    void run.empty.then(() => setImmediate()).then(() => planner.cleanUp(command.runId)); // The reply goes first.
  }

  async #find(commandId: string): Promise<Command | undefined> {
    const live = this.#live.get(commandId);
    if (live !== undefined) return live;
    const record = this.#options.records.find(commandId);
    if (record?.ending === undefined) return undefined;
    const command = commandOf(record);
    const run = await this.#options.runner.find(record.runId);
    if (run !== undefined) command.launch(run);
    run?.release(); // Its end is stored: a shim that still waits for that word may leave when its tree does.
    command.end(record.ending as Ending);
    return command;
  }
}

function commandOf(record: CommandRecord): Command {
  return new Command({
    id: record.commandId,
    runId: record.runId,
    paramsHash: record.paramsHash,
    command: record.command,
    args: record.args,
    startedMs: record.startedMs,
  });
}

/** What makes two requests the same command; how the caller wants its answer does not. */
function hashOf(params: ExecuteParams): string {
  const { command, args, cwd, env, timeout, idle_timeout, stdin, user } = params;
  const sortedEnv = env === undefined ? null : Object.entries(env).sort(([a], [b]) => (a < b ? -1 : 1));
  const identity = JSON.stringify([command, args, cwd, sortedEnv, timeout, idle_timeout, stdin, user]);
  return createHash("sha256").update(identity).digest("base64url");
}
