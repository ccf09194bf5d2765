import { readdir } from "node:fs/promises";
import { join } from "node:path";
import type { StartedRecord, StartRequest } from "./records.ts";
import { Run } from "./run.ts";
import { Shim } from "./shim.ts";

export interface RunnerOptions {
  /** Where `hl-runner serve` listens. */
  readonly socketPath: string;
  /** Its state folder; we read the logs and end records in it. */
  readonly stateDirectory: string;
  /** Shims forked ahead of time, so that a start pays no fork of its own. */
  readonly warmShims: number;
}

/** The daemon's side of hl-runner. A connection is a process: see docs/runner-protocol.md. */
export class Runner implements AsyncDisposable {
  readonly #options: RunnerOptions;
  readonly #warm: Promise<Shim>[] = [];
  #stopped = false;

  constructor(options: RunnerOptions) {
    this.#options = options;
  }

  get stateDirectory(): string {
    return this.#options.stateDirectory;
  }

  /** Fills the pool; rejects when the runner cannot be reached. */
  async open(): Promise<void> {
    await this.#connect();
    this.#fill();
  }

  /** Starts a process. Rejects with `StartFailed` when the shim refused, else with why the runner cannot be reached. */
  async start(request: StartRequest): Promise<Run> {
    const shim = await this.#take();
    let started: StartedRecord;
    try {
      started = await shim.start(request);
    } catch (error) {
      shim.detach(); // Also one that was asked for nothing, because the request is larger than a frame.
      throw error;
    }
    return new Run(request.id, join(this.stateDirectory, request.id), shim, started.pid);
  }

  /** Finds a run of before: attached to its shim, or ended. Undefined when nothing is known of it. */
  async find(id: string): Promise<Run | undefined> {
    const directory = join(this.stateDirectory, id);
    const shim = await Shim.connect(join(directory, "attach.sock")).catch(() => undefined);
    if (shim === undefined) return Run.ofEndFile(id, directory);
    const started = await shim.started.catch(() => undefined);
    return started === undefined ? Run.ofEndFile(id, directory) : new Run(id, directory, shim, started.pid);
  }

  /** Every run that has a state folder. */
  async list(): Promise<string[]> {
    const entries = await readdir(this.stateDirectory, { withFileTypes: true }).catch(() => []);
    return entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped = true;
    for (const shim of this.#warm.splice(0)) (await shim.catch(() => undefined))?.detach();
  }

  async #take(): Promise<Shim> {
    const warm = await this.#warm.shift()?.catch(() => undefined);
    // The pool is refilled after this turn of the loop, so that the start itself goes first.
    setImmediate(() => this.#fill());
    if (warm !== undefined && !warm.isClosed) return warm;
    return Shim.connect(this.#options.socketPath);
  }

  async #connect(): Promise<void> {
    const shim = Shim.connect(this.#options.socketPath);
    this.#warm.push(shim);
    await shim;
  }

  #fill(): void {
    while (!this.#stopped && this.#warm.length < this.#options.warmShims) {
      const shim = Shim.connect(this.#options.socketPath);
      shim.catch(() => {}); // Whoever takes it sees the failure and connects anew.
      this.#warm.push(shim);
    }
  }
}
