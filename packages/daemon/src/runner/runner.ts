import { lstat, readdir } from "node:fs/promises";
import { join } from "node:path";
import { Backoff } from "@hl/core/backoff.ts";
import { systemClock, type Clock } from "@hl/core/clock.ts";
import { errorText } from "@hl/core/logger.ts";
import { settledWithin } from "@hl/core/service.ts";
import { findFate, outputBehind, type Fate } from "./fate.ts";
import { HeldStart, type RequestFor } from "./held-start.ts";
import { finishedOutput, type OutputSource } from "./output-source.ts";
import { failedProbe, type RunnerProbe } from "./probe.ts";
import { StartFailed, type OutputMark, type Preparation, type StartedRecord, type StartRequest } from "./records.ts";
import { Run, type RunKeeper } from "./run.ts";
import { Shim } from "./shim.ts";
import { WarmShims, type WarmShim } from "./warm-shims.ts";

export interface RunnerOptions {
  /** Where `hl-runner serve` listens. */
  readonly socketPath: string;
  /** Its state folder; we read the logs and end records in it. */
  readonly stateDirectory: string;
  /** Shims forked ahead of time while nothing happens. */
  readonly warmShims: number;
  /** The same after a burst; default as many as without one. */
  readonly warmShimsMax?: number | undefined;
  readonly clock?: Clock | undefined;
  readonly random?: (() => number) | undefined;
  /** How long a start waits for a resident that cannot be reached: it may be just starting again. */
  readonly reachMsMax?: number | undefined;
}

const connectAgainMs = { minMs: 20, maxMs: 500 };
const reachMsMaxDefault = 5_000;
/** How long a start whose connection broke waits to hear what became of it, before it is told as started. */
const fateMsMax = 5_000;

/** The daemon's side of hl-runner. A connection is a process: see docs/runner-protocol.md. */
export class Runner implements RunKeeper, AsyncDisposable {
  readonly #options: RunnerOptions;
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #warm: WarmShims;
  readonly #stopped = new AbortController();

  constructor(options: RunnerOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#random = options.random ?? Math.random;
    const { socketPath, warmShims: least, warmShimsMax: most = least } = options;
    this.#warm = new WarmShims({ socketPath, least, most, clock: this.#clock });
  }

  /** What shims prepare from now on, before it is known which command they get. */
  prepareWith(prepare: () => Preparation): void {
    this.#warm.prepareWith(prepare);
  }

  get stateDirectory(): string {
    return this.#options.stateDirectory;
  }

  /** Fills the pool; rejects when the runner cannot be reached. */
  async open(): Promise<void> {
    (await this.#reach()).detach();
    this.fill();
  }

  /** The shim of the next run, which has its name already. Whoever reserves it holds it. */
  reserve(): WarmShim {
    return this.#warm.take();
  }

  /** Lets the shim prepare the start, see HeldStart; nothing starts before `go`. */
  hold(warm: WarmShim, requestFor: RequestFor): HeldStart {
    return new HeldStart(warm, requestFor);
  }

  /** Starts what was held; `request` is for another shim, where that one could not prepare it. Rejects like `start`. */
  async go(held: HeldStart, request: () => StartRequest): Promise<Run> {
    const shim = await held.prepared();
    if (shim === undefined) return this.start(request());
    const run = new Run(held.runId, join(this.stateDirectory, held.runId), this);
    return (await this.#attempt(run, shim, () => shim.go())) === undefined ? run : this.start(request());
  }

  /**
   * Starts a process. Rejects with `StartFailed` when the shim refused, else with why the runner cannot be reached; both say that
   * nothing has started (C1). A run of which even that cannot be told yet is answered as one that has.
   */
  async start(request: StartRequest): Promise<Run> {
    const run = new Run(request.id, join(this.stateDirectory, request.id), this);
    const deadline = this.#reachDeadline();
    for (;;) {
      const shim = await this.#reach();
      const failed = await this.#attempt(run, shim, () => shim.start(request));
      if (failed === undefined) return run;
      // The resident went before it had taken the connection: the next one may be asked.
      if (this.#clock.now() >= deadline) throw failed.reason;
    }
  }

  /** Answers why nothing has started where another shim may be asked, and undefined for a run that has, or may have. */
  async #attempt(
    run: Run,
    shim: Shim,
    start: () => Promise<StartedRecord>,
  ): Promise<{ readonly reason: unknown } | undefined> {
    try {
      const started = await start();
      run.follow(shim, started);
      return undefined;
    } catch (reason) {
      shim.detach(); // Also one that was asked for nothing, because the request is larger than a frame.
      if (reason instanceof StartFailed) throw reason;
      return (await this.#mayHaveStarted(run)) ? undefined : { reason };
    }
  }

  /** Finds a run of before: attached to its shim, or over. Undefined when it has never started anything. */
  async find(id: string, signal: AbortSignal = this.#stopped.signal): Promise<Run | undefined> {
    const fate = await this.fate(id, signal);
    if (fate.kind === "absent") return undefined;
    const run = new Run(id, join(this.stateDirectory, id), this);
    run.meet(fate);
    return run;
  }

  fate(id: string, signal: AbortSignal): Promise<Fate> {
    const { socketPath, stateDirectory } = this.#options;
    const ports = { socketPath, stateDirectory, clock: this.#clock, random: this.#random };
    return findFate(ports, id, AbortSignal.any([signal, this.#stopped.signal]));
  }

  /** The log of a run that is over, as its record has it. */
  async outputOf(id: string, end: OutputMark & { readonly pipesStillOpen: boolean }): Promise<OutputSource> {
    const directory = join(this.stateDirectory, id);
    return finishedOutput(directory, await outputBehind(directory, end, end.pipesStillOpen));
  }

  /**
   * Ends what a run may have left and removes its folders; only the runner may, where it is another user's. Rejects with `StartFailed`
   * when its shim lives (`alive`) or a folder cannot be removed (`log`). A run without a folder has left nothing: its shim takes the
   * folder along only when its tree is empty. What cannot be killed is waited for, until the signal aborts.
   */
  async remove(id: string, signal?: AbortSignal): Promise<void> {
    if (await isMissing(join(this.stateDirectory, id))) return;
    const shim = await this.#reach();
    const giveUp = (): void => shim.detach();
    signal?.addEventListener("abort", giveUp, { once: true });
    if (signal?.aborted === true) giveUp();
    try {
      await shim.clear({ id, folders: {} });
    } finally {
      signal?.removeEventListener("abort", giveUp);
      shim.detach();
    }
  }

  /** What the runner can enforce; it answers for itself, since it may be another user, in another unit, with other rights. */
  async probe(): Promise<RunnerProbe> {
    try {
      const shim = await this.#reach();
      try {
        return await shim.probe();
      } finally {
        shim.detach();
      }
    } catch (error) {
      return failedProbe(errorText(error));
    }
  }

  /** Why nobody listens there at this moment; undefined where somebody does. */
  async unreachable(): Promise<string | undefined> {
    try {
      (await Shim.connect(this.#options.socketPath)).detach();
      return undefined;
    } catch (error) {
      return errorText(error);
    }
  }

  /** Every run that has a state folder. Names with a dot belong to shims that have no request yet. */
  async list(): Promise<string[]> {
    const entries = await readdir(this.stateDirectory, { withFileTypes: true }).catch(() => []);
    return entries.filter((entry) => entry.isDirectory() && !entry.name.startsWith(".")).map((entry) => entry.name);
  }

  /** Forks the warm shims that are missing: behind a start, and when the resident has come back. */
  fill(): void {
    this.#warm.fill();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped.abort(new Error("the runner is closed"));
    this.#warm[Symbol.dispose]();
  }

  /** Whether the connection broke behind the start; where that cannot be told in time it is told as started, and found out later. */
  async #mayHaveStarted(run: Run): Promise<boolean> {
    const fate = this.fate(run.id, this.#stopped.signal);
    if (await settledWithin(this.#clock, fateMsMax, fate)) {
      const found = await fate;
      if (found.kind !== "absent") run.meet(found);
      return found.kind !== "absent";
    }
    fate.then((found) => run.meet(found)).catch(() => {});
    return true;
  }

  async #reach(): Promise<Shim> {
    const deadline = this.#reachDeadline();
    const backoff = new Backoff({ ...connectAgainMs, random: this.#random });
    for (;;) {
      try {
        return await Shim.connect(this.#options.socketPath);
      } catch (error) {
        if (this.#clock.now() >= deadline) throw error;
        await this.#clock.sleep(backoff.nextMs(), this.#stopped.signal);
      }
    }
  }

  #reachDeadline(): number {
    return this.#clock.now() + (this.#options.reachMsMax ?? reachMsMaxDefault);
  }
}

/** Of what cannot be looked at nobody says that it is missing. */
async function isMissing(path: string): Promise<boolean> {
  const error: unknown = await lstat(path).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  return (error as NodeJS.ErrnoException | undefined)?.code === "ENOENT";
}
