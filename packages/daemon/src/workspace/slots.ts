import { HlError } from "@hl/protocol/errors.ts";

/**
 * So many at once, the others one behind the other in the order they came; one that would wait behind too many is refused. Who leaves is let go
 * at once, and the place stays taken until the work is over: what it holds is held until then.
 */
export class Slots {
  readonly #atOnceMax: number;
  readonly #waitingMax: number;
  #taken = 0;
  readonly #waiting: (() => void)[] = [];

  constructor(atOnceMax: number, waitingMax: number) {
    this.#atOnceMax = atOnceMax;
    this.#waitingMax = waitingMax;
  }

  async run<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    if (this.#taken < this.#atOnceMax) this.#taken += 1;
    else await this.#turn(signal);
    return unlessAborted(signal, this.#work(work));
  }

  async #work<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } finally {
      // Whoever is next takes it over, so that nobody comes in between.
      const next = this.#waiting.shift();
      if (next === undefined) this.#taken -= 1;
      else next();
    }
  }

  async #turn(signal: AbortSignal): Promise<void> {
    if (this.#waiting.length >= this.#waitingMax) {
      const text = `${this.#waitingMax} calls of file methods are waiting already`;
      throw new HlError("rate_limited", text, { retry_after_ms: 1_000 });
    }
    signal.throwIfAborted();
    const { promise, resolve, reject } = Promise.withResolvers<undefined>();
    const take = (): void => resolve(undefined);
    const leave = (): void => {
      const at = this.#waiting.indexOf(take);
      if (at === -1) return; // It has its turn already.
      this.#waiting.splice(at, 1);
      reject(signal.reason as Error);
    };
    this.#waiting.push(take);
    signal.addEventListener("abort", leave, { once: true });
    try {
      await promise;
    } finally {
      signal.removeEventListener("abort", leave);
    }
  }
}

async function unlessAborted<T>(signal: AbortSignal, work: Promise<T>): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  const leave = (): void => reject(signal.reason as Error);
  signal.addEventListener("abort", leave, { once: true });
  if (signal.aborted) leave();
  try {
    return await Promise.race([work, promise]);
  } finally {
    signal.removeEventListener("abort", leave);
  }
}
