import type { Clock } from "./clock.ts";

/**
 * Something that runs until it is stopped. Written contract:
 * `start` resolves when the service is usable and is called once; `done` settles exactly once: it resolves after a stop
 * and rejects on a failure the service cannot recover from; disposing stops it, waits, is idempotent and never throws.
 */
export interface Service extends AsyncDisposable {
  readonly name: string;
  readonly done: Promise<void>;
  start(): Promise<void>;
}

/** Base for the common service: one asynchronous loop that ends when its signal aborts. */
export abstract class LoopService implements Service {
  readonly #stop = new AbortController();
  readonly #ended: PromiseWithResolvers<undefined> = Promise.withResolvers();
  #started = false;

  abstract readonly name: string;

  /** Aborts when the service is to stop. */
  protected get stopping(): AbortSignal {
    return this.#stop.signal;
  }

  get done(): Promise<void> {
    return this.#ended.promise;
  }

  start(): Promise<void> {
    if (this.#started) throw new Error(`${this.name} was started twice`);
    this.#started = true;
    // Somebody may dispose without ever looking at `done`; that must not count as an unhandled rejection.
    this.done.catch(() => {});
    const running = async (): Promise<void> => this.run(this.stopping); // Also a loop that throws at once settles `done`.
    running().then(
      () => this.#ended.resolve(undefined),
      (error: unknown) => {
        if (this.#stop.signal.aborted) this.#ended.resolve(undefined);
        else this.#ended.reject(error);
      },
    );
    return Promise.resolve();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new Error(`${this.name} is stopping`));
    if (!this.#started) this.#ended.resolve(undefined);
    await this.done.catch(() => {}); // The owner has seen a failure through `done`.
  }

  protected abstract run(signal: AbortSignal): Promise<void>;
}

/** Waits for a promise, but not longer than `ms`; answers whether it settled in time. Never rejects. */
export async function settledWithin(clock: Clock, ms: number, promise: Promise<unknown>): Promise<boolean> {
  const late = Promise.withResolvers<boolean>();
  const cancel = clock.after(ms, () => late.resolve(false));
  try {
    return await Promise.race([
      promise.then(
        () => true,
        () => true,
      ),
      late.promise,
    ]);
  } finally {
    cancel();
  }
}
