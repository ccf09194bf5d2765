/**
 * Whether an agent lives, asked of the agent itself: a process that is there may hang (SIGSTOP, an endless loop), and one that is silent for
 * an hour may work. Every interval it is pinged, idle or in a turn; one that leaves two pings in a row unanswered is stuck. Two, because a
 * daemon that was itself held up sees its own time limit before the answer that has come meanwhile.
 */
import type { Clock } from "@hl/core/clock.ts";
import { AgentFailure } from "./agent.ts";

export interface LivenessSettings {
  readonly intervalMs: number;
  /** For one ping. */
  readonly pingMsMax: number;
}

export interface LivenessOptions extends LivenessSettings {
  readonly clock: Clock;
  /** Rejects with an `AgentFailure`: `timeout` where nothing has come. */
  readonly ping: (timeoutMs: number) => Promise<unknown>;
  readonly onAlive: () => void;
  /** Called once; nothing is asked any more. */
  readonly onStuck: (unansweredMs: number) => void;
}

const unansweredMax = 2;

export class Liveness implements Disposable {
  readonly #options: LivenessOptions;
  readonly #stop = new AbortController();

  constructor(options: LivenessOptions) {
    this.#options = options;
  }

  start(): void {
    void this.#run();
  }

  [Symbol.dispose](): void {
    this.#stop.abort();
  }

  async #run(): Promise<void> {
    const { clock, onAlive, onStuck } = this.#options;
    const { signal } = this.#stop;
    for (;;) {
      await clock.sleep(this.#options.intervalMs, signal).catch(() => {});
      if (signal.aborted) return;
      const askedAt = clock.now();
      const isAlive = await this.#answers();
      if (this.#stop.signal.aborted) return;
      if (!isAlive) {
        onStuck(clock.now() - askedAt);
        return;
      }
      onAlive();
    }
  }

  async #answers(): Promise<boolean> {
    for (let unanswered = 0; unanswered < unansweredMax; unanswered += 1) {
      try {
        await this.#options.ping(this.#options.pingMsMax);
        return true;
      } catch (error) {
        // A refusal is an answer, and its end is told by its process.
        if (!(error instanceof AgentFailure && error.kind === "timeout")) return true;
      }
    }
    return false;
  }
}
