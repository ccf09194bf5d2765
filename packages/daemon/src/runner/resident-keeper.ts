import { Backoff } from "@hl/core/backoff.ts";
import type { Clock } from "@hl/core/clock.ts";
import { errorText } from "@hl/core/logger.ts";
import { Resident } from "./resident.ts";

export interface ResidentKeeperOptions {
  readonly binary: string;
  readonly socketPath: string;
  readonly stateDirectory: string;
  readonly clock: Clock;
  readonly random: () => number;
  /** It has ended, or could not be started again; the shims and their programs go on. */
  readonly onLost: (reason: string) => void;
  /** It listens again. */
  readonly onBack: (pid: number) => void;
  /** Resolves when it may be started again; rejects when the signal aborts. At once where nobody says otherwise. */
  readonly turnToRestart?: ((why: string, signal: AbortSignal) => Promise<void>) | undefined;
}

const startAgainMs = { minMs: 50, maxMs: 10_000 };
/** One that has lived so long did not fail at its start: the next back-off begins anew. */
const livedMs = 30_000;

/**
 * In development nobody else watches our resident: when it ends while we run it is started again. The first start must succeed.
 * States: up → down (back-off, then its turn) → up …, until disposed.
 */
export class ResidentKeeper implements AsyncDisposable {
  readonly #options: ResidentKeeperOptions;
  readonly #stopping = new AbortController();
  #resident: Resident;
  #done: Promise<void> = Promise.resolve();

  private constructor(options: ResidentKeeperOptions, resident: Resident) {
    this.#options = options;
    this.#resident = resident;
  }

  static async start(options: ResidentKeeperOptions): Promise<ResidentKeeper> {
    const resident = await Resident.start(options.binary, options.socketPath, options.stateDirectory);
    const keeper = new ResidentKeeper(options, resident);
    keeper.#done = keeper.#keep();
    return keeper;
  }

  get pid(): number {
    return this.#resident.pid;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort(new Error("the daemon is stopping"));
    await this.#resident[Symbol.asyncDispose]();
    await this.#done;
  }

  async #keep(): Promise<void> {
    const { clock, random, onLost, onBack } = this.#options;
    const stopping = (): boolean => this.#stopping.signal.aborted;
    const backoff = new Backoff({ ...startAgainMs, random });
    for (;;) {
      const upSince = clock.now();
      const how = await this.#resident.exited;
      if (stopping()) return;
      if (clock.now() - upSince > livedMs) backoff.reset();
      const why = `hl-runner ended with ${how}`;
      onLost(why);
      await this.#startAgain(backoff, why);
      if (stopping()) return;
      onBack(this.#resident.pid);
    }
  }

  async #startAgain(backoff: Backoff, lost: string): Promise<void> {
    const { binary, socketPath, stateDirectory, clock, onLost, turnToRestart } = this.#options;
    const { signal } = this.#stopping;
    const stopping = (): boolean => signal.aborted;
    let why = lost;
    while (!stopping()) {
      try {
        await clock.sleep(backoff.nextMs(), signal);
        await turnToRestart?.(why, signal);
        const resident = await Resident.start(binary, socketPath, stateDirectory);
        this.#resident = resident;
        if (stopping()) await resident[Symbol.asyncDispose]();
        return;
      } catch (error) {
        why = errorText(error);
        if (!stopping()) onLost(why);
      }
    }
  }
}
