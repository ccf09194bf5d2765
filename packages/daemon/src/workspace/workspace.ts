import type { Clock } from "@hl/core/clock.ts";
import { errorText, type Logger } from "@hl/core/logger.ts";
import { settledWithin } from "@hl/core/service.ts";
import { HlError } from "@hl/protocol/errors.ts";
import type { InputOf, ResultOf } from "@hl/protocol/method.ts";
import type { WorkspaceMethods } from "@hl/protocol/workspace-methods.ts";
import { endStranger } from "../runner/end-stranger.ts";
import type { Runner } from "../runner/runner.ts";
import { FileWatch } from "./file-watch.ts";
import { launchFailure, launchRequest, workspaceIdPrefix, type LaunchSettings } from "./launch.ts";
import { Slots } from "./slots.ts";
import { WorkspaceProcess } from "./workspace-process.ts";

export interface WorkspaceOptions extends LaunchSettings {
  readonly runner: Runner;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  /** Relative paths start here. */
  readonly workspace: string;
  readonly allowedPaths: readonly string[];
  readonly blockedPaths: readonly string[];
  /** Without a call and without a watch for so long it is stopped. */
  readonly idleMs: number;
}

type FileMethod = Extract<keyof WorkspaceMethods, `file/${string}`>;
export type WatchParams = InputOf<WorkspaceMethods["file/watch"]>;

/** Answers that may be unread at once; the size of the log counts on it. */
const callsAtOnceMax = 4;
const callsWaitingMax = 256;
/** From the start to the first answer; a busy machine takes seconds. */
const beginMsMax = 20_000;
const recoverMsMax = 5_000;

/**
 * The one hl-workspace of this daemon, there while somebody needs it. States: absent → starting → there → stopping → absent. A process that ends by
 * itself fails the calls in flight, and the next call starts another; watches go on with the new one, and say that something may be missing.
 */
export class Workspace {
  readonly #options: WorkspaceOptions;
  readonly #slots = new Slots(callsAtOnceMax, callsWaitingMax);
  readonly #watches = new Map<string, FileWatch>();
  readonly #processes = new Set<WorkspaceProcess>();
  #current: Promise<WorkspaceProcess> | undefined;
  #uses = 0;
  #cancelIdle: (() => void) | undefined;
  #accepting = true;

  constructor(options: WorkspaceOptions) {
    this.#options = options;
  }

  /** Rejects with the errors of the method, or with why there is no hl-workspace to ask. */
  call<Name extends FileMethod>(
    method: Name,
    params: InputOf<WorkspaceMethods[Name]>,
    signal: AbortSignal,
  ): Promise<ResultOf<WorkspaceMethods[Name]>> {
    return this.#using(() =>
      this.#slots.run(signal, async () => (await this.#obtain()).callToItsEnd(method, params, signal)),
    );
  }

  /** A watch that lasts until its `end` is called; to be delivered by whoever asked for it. */
  async watch(params: WatchParams, signal: AbortSignal): Promise<FileWatch> {
    const { clock, random } = this.#options;
    const release = this.#use();
    const watch = new FileWatch({
      clock,
      random,
      begin: async (until) => {
        const process = await this.#obtain();
        const begun = await this.#slots.run(until, () => beginWatch(process, params, until));
        return { process, begun };
      },
      onEnd: () => {
        this.#watches.delete(watch.id);
        release();
      },
    });
    this.#watches.set(watch.id, watch);
    try {
      await watch.begin(signal);
    } catch (error) {
      watch.end();
      throw error;
    }
    return watch;
  }

  /** Answers whether there was such a watch. */
  unwatch(id: string): boolean {
    const watch = this.#watches.get(id);
    watch?.end();
    return watch !== undefined;
  }

  /** Ends what a daemon that was killed has left: without its daemon it serves nobody. */
  async recover(): Promise<void> {
    const { runner, clock, logger } = this.#options;
    const left = (await runner.list()).filter((id) => id.startsWith(workspaceIdPrefix));
    const ended = left.map(async (id) => {
      const pid = await endStranger(runner, id).catch((error: unknown) => {
        logger.error({ run_id: id, error: errorText(error) }, "an hl-workspace of before could not be ended");
      });
      if (pid !== undefined) logger.info({ run_id: id, pid }, "an hl-workspace of before was ended");
    });
    await settledWithin(clock, recoverMsMax, Promise.all(ended));
  }

  /** Refuses new calls and stops the process; those in flight fail. */
  async drain(): Promise<void> {
    this.#accepting = false;
    this.#cancelIdle?.();
    for (const watch of [...this.#watches.values()]) watch.end();
    await this.#current?.catch(() => {}); // A start under way is waited for, or it would be left behind.
    await Promise.all([...this.#processes].map((process) => process.stop()));
  }

  async #using<T>(work: () => Promise<T>): Promise<T> {
    const release = this.#use();
    try {
      return await work();
    } finally {
      release();
    }
  }

  /** Keeps the process from being idle; what is answered is to be called once. */
  #use(): () => void {
    this.#uses += 1;
    this.#cancelIdle?.();
    this.#cancelIdle = undefined;
    return () => {
      this.#uses -= 1;
      if (this.#uses > 0 || !this.#accepting) return;
      this.#cancelIdle = this.#options.clock.after(this.#options.idleMs, () => void this.#whenIdle());
    };
  }

  async #whenIdle(): Promise<void> {
    const current = this.#current;
    this.#current = undefined;
    const process = await current?.catch(() => undefined);
    if (process === undefined) return;
    this.#options.logger.debug({ pid: process.pid }, "hl-workspace is idle and is stopped");
    await process.stop();
  }

  /** One start for all who ask meanwhile. */
  #obtain(): Promise<WorkspaceProcess> {
    if (!this.#accepting) throw new HlError("shutting_down", "the daemon is stopping and touches no file");
    if (this.#current !== undefined) return this.#current;
    const starting = this.#start();
    this.#current = starting;
    const forget = (): boolean => {
      if (this.#current !== starting || !this.#accepting) return false;
      this.#current = undefined; // The next call starts another.
      return true;
    };
    starting.then(async (process) => {
      const reason = await process.closed;
      if (forget()) this.#options.logger.warn({ pid: process.pid, reason }, "hl-workspace has ended by itself");
    }, forget);
    return starting;
  }

  async #start(): Promise<WorkspaceProcess> {
    const { runner, clock, logger, workspace, allowedPaths, blockedPaths } = this.#options;
    let process: WorkspaceProcess | undefined;
    try {
      const run = await runner.start(launchRequest(this.#options));
      process = new WorkspaceProcess({ run, clock, logger });
      this.#keep(process);
      process.begin();
      const lists = { workspace, allowed_paths: [...allowedPaths], blocked_paths: [...blockedPaths] };
      await process.call("workspace/begin", lists, { timeoutMs: beginMsMax });
      logger.debug({ pid: run.pid }, "hl-workspace is there");
      return process;
    } catch (error) {
      void process?.stop();
      throw launchFailure(error);
    }
  }

  #keep(process: WorkspaceProcess): void {
    this.#processes.add(process);
    void process.ended.then(() => this.#processes.delete(process));
  }
}

async function beginWatch(
  process: WorkspaceProcess,
  params: WatchParams,
  signal: AbortSignal,
): Promise<ResultOf<WorkspaceMethods["file/watch"]>> {
  const begun = await process.callToItsEnd("file/watch", params, signal);
  // The caller has left when the answer was on its way already: nobody else knows of this watch.
  if (signal.aborted) process.call("workspace/unwatch", { watch_id: begun.watch_id }).catch(() => {});
  return begun;
}
