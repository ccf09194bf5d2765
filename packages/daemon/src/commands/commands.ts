import { setImmediate } from "node:timers/promises";
import type { Clock } from "@hl/core/clock.ts";
import { errorText, type Logger } from "@hl/core/logger.ts";
import { settledWithin } from "@hl/core/service.ts";
import { HlError } from "@hl/protocol/errors.ts";
import type { CommandDecisionResult } from "@hl/protocol/methods/command-decision.ts";
import type { LiveUsage } from "../runner/live-usage.ts";
import type { Runner } from "../runner/runner.ts";
import type { SecretHolder } from "../runner/secret-holder.ts";
import type { CommandRecords } from "../store/command-records.ts";
import { commandOf, paramsHashOf } from "./command-identity.ts";
import { Command } from "./command.ts";
import type { NoteAllowed } from "./decision.ts";
import { allowedDecision, knownDecision } from "./dry-run.ts";
import { EndStore } from "./end-store.ts";
import type { Ending } from "./ending.ts";
import { isRunning, listedOf, type ListedCommand } from "./listed-command.ts";
import { LiveCommands } from "./live-commands.ts";
import type { ExecuteParams, LaunchPlan, Planner } from "./plan.ts";
import { Recovery } from "./recovery.ts";
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
  /** Uniform in [0, 1). */
  readonly random?: (() => number) | undefined;
  /** Throws where what a start and an end bring cannot be told. */
  readonly assertRoom?: (() => void) | undefined;
  /** Keeps what is secret in the environments of commands out of events, as long as they are held (X4). */
  readonly secrets?: SecretHolder | undefined;
  /** Takes out what must not lie in the record, which is only for people: what is the same command is known by a hash (X4). */
  readonly redact?: ((args: readonly string[]) => readonly string[]) | undefined;
  /** Starts and ends are told to whoever reports them as events; of an end, resolves when that is durable (or refused for good). */
  readonly onStart: (command: Command) => void;
  readonly onEnd: (command: Command, ending: Ending) => Promise<void>;
  /** The record of one more end is durable: there may be more now than is kept. */
  readonly onStored?: (() => void) | undefined;
}

const launchMsMax = 5_000;

const ownerOf = (commandId: string): string => `command ${commandId}`;

/**
 * The table of commands: those that are held in memory (LiveCommands) and the records of all. A record is durable before its command
 * starts (C1); after a restart the table is rebuilt from records, folders and shims (P3).
 */
export class Commands {
  readonly #options: CommandsOptions;
  readonly #live: LiveCommands;
  readonly #ends: EndStore;
  readonly #recovery: Recovery;
  readonly #launching = new Map<string, Promise<unknown>>();
  #accepting = true;

  constructor(options: CommandsOptions) {
    this.#options = options;
    const { random = Math.random, onEnd: tell, onStored = () => {}, planner, secrets } = options;
    const ends = new EndStore({ ...options, random, tell });
    const onGone = (id: string): void => secrets?.release(ownerOf(id));
    const onFound = (id: string, pid: number): void => void secrets?.holdRunning(ownerOf(id), pid);
    const live = new LiveCommands({
      ...options,
      ends,
      onStored,
      onFound,
      onGone,
      cleanUp: (runId) => planner.cleanUp(runId),
    });
    this.#ends = ends;
    this.#live = live;
    this.#recovery = new Recovery({ ...options, live });
  }

  get running(): number {
    return this.#live.running;
  }

  get finished(): number {
    return this.#options.records.finished.count;
  }

  /** Commands that are held in memory. */
  get held(): number {
    return this.#live.size;
  }

  /** Something of it runs, or its end is not stored yet. */
  isHeld(commandId: string): boolean {
    return this.#live.get(commandId) !== undefined;
  }

  /** Whose processes they are. */
  get user(): string {
    return this.#options.planner.user;
  }

  /** What a command takes at this moment; undefined where it does not run, or nobody can see it. */
  usageOf(commandId: string): LiveUsage | undefined {
    return this.#live.get(commandId)?.run?.usage();
  }

  runningIds(): string[] {
    return this.#live.all().flatMap((command) => (command.ending === undefined ? [command.id] : []));
  }

  /**
   * Starts the command, or finds the one that this id started before. Resolves when it runs.
   * @param note called when it is allowed, before anything is started
   */
  async execute(params: ExecuteParams, note: NoteAllowed = () => {}): Promise<Command> {
    const paramsHash = paramsHashOf(params);
    // Nothing is awaited between this look-up and the launch: of two that come together the second finds the first one (C1).
    const known = this.#known(params, paramsHash, await this.#find(params.command_id));
    if (known !== undefined) {
      note(undefined);
      await known.launched;
      return known;
    }
    const plan = this.#plan(params);
    note(plan.rule);
    if (params.env !== undefined) this.#options.secrets?.hold(ownerOf(params.command_id), params.env);
    const launching = this.#launch(params, paramsHash, plan).catch((error: unknown) => {
      this.#options.secrets?.release(ownerOf(params.command_id));
      throw error;
    });
    this.#launching.set(params.command_id, launching);
    return launching.finally(() => this.#launching.delete(params.command_id));
  }

  /** What `execute` would decide at this moment, by the same judges in the same order. Nothing is started or recorded. */
  async decide(params: ExecuteParams, note: NoteAllowed): Promise<CommandDecisionResult> {
    if (this.#known(params, paramsHashOf(params), await this.#find(params.command_id)) !== undefined) {
      note(undefined);
      return knownDecision(params.command_id);
    }
    const plan = this.#plan(params);
    note(plan.rule);
    return allowedDecision(params.command_id, plan.request("dry-run"), plan.rule);
  }

  /** The command that this id has already; throws where it was asked for with other parameters (C1). */
  #known(params: ExecuteParams, paramsHash: string, found: Command | undefined): Command | undefined {
    const known = found ?? this.#live.get(params.command_id); // Started while `found` was looked for.
    if (known === undefined || known.paramsHash === paramsHash) return known;
    const text = `command_id ${JSON.stringify(params.command_id)} was used before with other parameters`;
    throw new HlError("command_id_conflict", text, { command_id: params.command_id });
  }

  #plan(params: ExecuteParams): LaunchPlan {
    if (!this.#accepting) throw new HlError("shutting_down", "the daemon is stopping and starts no command");
    const { processesMax, planner, assertRoom } = this.#options;
    assertRoom?.();
    if (this.#live.running >= processesMax) {
      throw new HlError("process_limit", `${processesMax} commands are running, which is max_processes`, {
        max_processes: processesMax,
      });
    }
    return planner.plan(params);
  }

  /** One that is just starting is waited for: it may still be refused, and then there has never been one (P2). */
  async get(commandId: string): Promise<Command> {
    const launching = this.#launching.get(commandId);
    if (launching !== undefined) await settledWithin(this.#options.clock, launchMsMax, launching);
    const command = await this.#find(commandId);
    if (command === undefined)
      throw new HlError("command_unknown", `there is no command ${JSON.stringify(commandId)}`, {
        command_id: commandId,
      });
    return command;
  }

  /** Stops the whole tree, also what outlived the command itself (P1), and answers when it is gone. */
  async cancel(command: Command, graceMs: number | undefined): Promise<void> {
    const grace = graceMs ?? this.#options.stopGraceMs;
    // One that is just starting, or not found yet after a restart, is stopped as soon as there is something to stop.
    const stopped = command.launched.then(async () => {
      command.run?.stop("cancelled", grace);
      await Promise.all([command.ended, command.run?.empty]);
    });
    if (await settledWithin(this.#options.clock, grace + 10_000, stopped)) await stopped; // Rejects for one that was refused.
  }

  /** Newest first. @param runningFirst what runs or lingers stands before the rest, however old it is */
  list(limit: number, runningFirst: boolean = false): ListedCommand[] {
    const { records } = this.#options;
    const newest = records.newest(limit);
    if (!runningFirst) return newest.map((record) => listedOf(record, this.#live.get(record.commandId)));
    const running = this.#live
      .all()
      .filter(isRunning)
      .sort((a, b) => b.startedMs - a.startedMs)
      .slice(0, limit)
      .flatMap(({ id }) => records.find(id) ?? []); // One that is just being recorded is none yet.
    const first = new Set(running.map(({ commandId }) => commandId));
    const rest = newest.filter(({ commandId }) => !first.has(commandId));
    const all = [...running, ...rest].slice(0, limit);
    return all.map((record) => listedOf(record, this.#live.get(record.commandId)));
  }

  /** After a restart: attaches to what still runs, takes up the ends that were missed, and says what nobody saw. */
  recover(): Promise<void> {
    return this.#recovery.run();
  }

  /** Refuses new commands; with `stopAll` ends the running ones, else leaves them to their shims. */
  async drain(stopAll: boolean): Promise<void> {
    this.#accepting = false;
    this.#recovery.stop();
    const { clock, stopGraceMs } = this.#options;
    await settledWithin(clock, launchMsMax, Promise.allSettled(this.#launching.values())); // What is just starting is left or stopped too.
    const runs = this.#live.all().flatMap(({ run }) => run ?? []);
    if (stopAll) {
      for (const run of runs) run.stop("shutdown", stopGraceMs);
      await settledWithin(
        clock,
        stopGraceMs + 5_000,
        Promise.all(runs.map((run) => Promise.all([run.ended, run.empty]))),
      );
    }
    this.#ends.stop();
    for (const run of runs) run.detach();
  }

  async #launch(params: ExecuteParams, paramsHash: string, plan: LaunchPlan): Promise<Command> {
    const { records, runner, clock, logger, bootId } = this.#options;
    const { command_id: id, command: name, args } = params;
    const startedMs = clock.wallMs();
    const warm = runner.reserve();
    const { runId } = warm;
    const command = new Command({ id, runId, paramsHash, command: name, args, startedMs });
    this.#live.add(command);
    // The shim does its part while the disk does its own, which takes as long.
    const held = runner.hold(warm, ({ preparation }) => plan.request(runId, preparation));
    const shown = this.#options.redact?.(args) ?? args;
    const recorded = this.#record({ commandId: id, runId, paramsHash, command: name, args: shown, bootId, startedMs });
    const begun = recorded.then(
      () => true,
      () => false,
    );
    try {
      await recorded;
      this.#live.follow(command, await runner.go(held, () => plan.request(runId)));
    } catch (error) {
      held.giveUp();
      const hasRecord = await begun;
      this.#live.drop(command);
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
    void setImmediate().then(() => runner.fill());
    return command;
  }

  /** A record without an end of which nothing is held has never run: it is of a start that was refused while the disk was full (S4). */
  async #record(record: Parameters<CommandRecords["begin"]>[0]): Promise<void> {
    const { records } = this.#options;
    try {
      await records.begin(record);
    } catch (error) {
      const left = records.find(record.commandId);
      if (left === undefined || left.ending !== undefined) throw error;
      await records.abandon(record.commandId);
      await records.begin(record);
    }
  }

  async #find(commandId: string): Promise<Command | undefined> {
    const live = this.#live.get(commandId);
    if (live !== undefined) return live;
    const record = this.#options.records.find(commandId);
    if (record?.ending === undefined) return undefined;
    const command = commandOf(record);
    const ending = record.ending as Ending;
    command.end(ending, await this.#options.runner.outputOf(record.runId, ending));
    return command;
  }
}
