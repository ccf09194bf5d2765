import { lstat, readdir } from "node:fs/promises";
import { join } from "node:path";
import { Backoff } from "@hl/core/backoff.ts";
import { systemClock, type Clock } from "@hl/core/clock.ts";
import { errorText } from "@hl/core/logger.ts";
import { settledWithin } from "@hl/core/service.ts";
import { findFate, outputBehind, type Fate } from "./fate.ts";
import { finishedOutput, type OutputSource } from "./output-source.ts";
import { failedProbe, type RunnerProbe } from "./probe.ts";
import { StartFailed, type OutputMark, type StartRequest } from "./records.ts";
import { Run, type RunKeeper } from "./run.ts";
import { Shim } from "./shim.ts";

export interface RunnerOptions {
  /** Where `hl-runner serve` listens. */
  readonly socketPath: string;
  /** Its state folder; we read the logs and end records in it. */
  readonly stateDirectory: string;
  /** Shims forked ahead of time, so that a start pays no fork of its own. */
  readonly warmShims: number;
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
  readonly #warm = new Set<Promise<Shim>>();
  readonly #stopped = new AbortController();

  constructor(options: RunnerOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#random = options.random ?? Math.random;
  }

  get stateDirectory(): string {
    return this.#options.stateDirectory;
  }

  /** Fills the pool; rejects when the runner cannot be reached. */
  async open(): Promise<void> {
    const first = this.#reach();
    this.#keepWarm(first);
    await first;
    this.fill();
  }

  /**
   * Starts a process. Rejects with `StartFailed` when the shim refused, else with why the runner cannot be reached; both say that
   * nothing has started (C1). A run of which even that cannot be told yet is answered as one that has.
   */
  async start(request: StartRequest): Promise<Run> {
    const run = new Run(request.id, join(this.stateDirectory, request.id), this);
    const deadline = this.#reachDeadline();
    for (;;) {
      const shim = await this.#take();
      try {
        const started = await shim.start(request);
        run.follow(shim, started.pid);
        return run;
      } catch (error) {
        shim.detach(); // Also one that was asked for nothing, because the request is larger than a frame.
        if (error instanceof StartFailed) throw error;
        if (await this.#mayHaveStarted(run)) return run;
        // The resident went before it had taken the connection: the next one may be asked.
        if (this.#clock.now() >= deadline) throw error;
      }
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

  /** Every run that has a state folder. Names with a dot belong to shims that have no request yet. */
  async list(): Promise<string[]> {
    const entries = await readdir(this.stateDirectory, { withFileTypes: true }).catch(() => []);
    return entries.filter((entry) => entry.isDirectory() && !entry.name.startsWith(".")).map((entry) => entry.name);
  }

  /** Fills the pool of warm shims up; also after the resident has come back. */
  fill(): void {
    while (!this.#stopped.signal.aborted && this.#warm.size < this.#options.warmShims) {
      this.#keepWarm(Shim.connect(this.#options.socketPath));
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped.abort(new Error("the runner is closed"));
    const warm = [...this.#warm];
    this.#warm.clear();
    for (const shim of warm) (await shim.catch(() => undefined))?.detach();
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

  async #take(): Promise<Shim> {
    const [first] = this.#warm;
    if (first !== undefined) this.#warm.delete(first);
    const warm = await first?.catch(() => undefined);
    // The pool is refilled after this turn of the loop, so that the start itself goes first.
    setImmediate(() => this.fill());
    if (warm !== undefined && !warm.isClosed) return warm;
    return this.#reach();
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

  #keepWarm(shim: Promise<Shim>): void {
    this.#warm.add(shim);
    shim.catch(() => this.#warm.delete(shim)); // Whoever takes it sees the failure and connects anew.
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
