import type { Clock } from "@hl/core/clock.ts";
import type { Logger } from "@hl/core/logger.ts";
import type { Run } from "../runner/run.ts";
import type { Runner } from "../runner/runner.ts";
import type { CommandRecord, CommandRecords } from "../store/command-records.ts";
import { commandOf } from "./command-identity.ts";
import type { Command } from "./command.ts";
import type { EndStore } from "./end-store.ts";
import { endingOf, interruptedEnding, type Ending } from "./ending.ts";

export interface LiveCommandsOptions {
  readonly runner: Pick<Runner, "outputOf">;
  readonly records: Pick<CommandRecords, "grow">;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly bootId: string;
  readonly ends: EndStore;
  /** Removes the private folder of a run whose tree has gone. */
  readonly cleanUp: (runId: string) => void;
  /** The record of one more end is durable: there may be more now than is kept. */
  readonly onStored: () => void;
  /** A command of before runs still. */
  readonly onFound: (commandId: string, pid: number) => void;
  /** Nothing of a command runs any more and its end is stored. */
  readonly onGone: (commandId: string) => void;
}

/**
 * The commands that are held in memory, from the moment they are accepted until their end is stored and nothing of them runs any
 * more, so that memory does not grow with finished ones (P7). Running ones count in the limit; what has ended and left something
 * in the background is only held so that cancel reaches it (P1).
 */
export class LiveCommands {
  readonly #options: LiveCommandsOptions;
  readonly #commands = new Map<string, Command>();
  #running = 0;

  constructor(options: LiveCommandsOptions) {
    this.#options = options;
  }

  get running(): number {
    return this.#running;
  }

  get size(): number {
    return this.#commands.size;
  }

  get(commandId: string): Command | undefined {
    return this.#commands.get(commandId);
  }

  all(): Command[] {
    return [...this.#commands.values()];
  }

  /** One that starts, or, after a restart, one that may be running. */
  add(command: Command): void {
    this.#commands.set(command.id, command);
    this.#running += 1;
  }

  /** It has not started. */
  drop(command: Command): void {
    this.#commands.delete(command.id);
    this.#running -= 1;
  }

  follow(command: Command, run: Run): void {
    const { cleanUp, clock } = this.#options;
    command.launch(run);
    void run.ended.then((end) => this.#ended(command, endingOf(end, command.startedMs, clock.wallMs()), run));
    // Its shim removes its folder; where that was killed nobody else has.
    void Promise.all([run.ended, run.empty]).then(([{ reason }]) => {
      if (reason === "unknown") cleanUp(command.runId);
    });
  }

  /** What became of a command of before; without a run it has never come to start anything. */
  async found(command: Command, record: CommandRecord, run: Run | undefined): Promise<void> {
    const { cleanUp, clock, logger, bootId, runner } = this.#options;
    const stoppedWithTheMachine = record.bootId !== bootId && run?.end?.reason === "unknown";
    if (run !== undefined && !stoppedWithTheMachine) {
      logger.info({ command_id: command.id, pid: run.pid, ended: run.end !== undefined }, "found a command of before");
      if (run.end === undefined) this.#options.onFound(command.id, run.pid);
      this.follow(command, run);
      return;
    }
    logger.warn({ command_id: command.id }, "nobody saw the end of this command: it is reported as interrupted");
    const ending = interruptedEnding(record.startedMs, clock.wallMs(), run?.output);
    command.end(ending, run && (await runner.outputOf(record.runId, ending)));
    cleanUp(record.runId);
    this.#ended(command, ending);
  }

  /** A command of before that has ended, and left something running. */
  linger(record: CommandRecord, run: Run): void {
    const command = commandOf(record);
    const ending = record.ending as Ending;
    command.launch(run);
    command.end(ending);
    this.#commands.set(command.id, command);
    run.release(); // Its end is stored: the shim may leave when its tree has gone.
    void this.#hold(command, ending, run);
    void run.empty.then(() => this.#options.cleanUp(record.runId));
  }

  /** The caller hears of it at once; only when it is stored may the shim leave: until then its end record is the only one (P3). */
  #ended(command: Command, ending: Ending, run?: Run): void {
    const { ends, onStored } = this.#options;
    this.#running -= 1;
    command.end(ending);
    void ends.store(command, ending, bytesKept(ending.position, run)).then((stored) => {
      if (!stored) return;
      run?.release();
      onStored();
      void this.#hold(command, ending, run);
    });
  }

  /** From here on the record and the log know everything; what lives on in the background still has to be reached (P1). */
  async #hold(command: Command, ending: Ending, run: Run | undefined): Promise<void> {
    await run?.empty;
    this.#commands.delete(command.id);
    this.#options.onGone(command.id);
    if (run === undefined || run.output.position <= ending.position) return;
    // Without it retention only counts a little less.
    await this.#options.records.grow(command.id, bytesKept(run.output.position, run)).catch(() => {});
  }
}

function bytesKept(position: number, run: Run | undefined): number {
  return Math.max(0, position - (run?.end?.droppedBytes ?? 0));
}
