/**
 * How long it takes until events get through again after a fault: from its end until the cloud has one that was handed over after that.
 * Another fault that begins meanwhile counts into it.
 */
import { systemClock } from "@hl/core/clock.ts";
import { http } from "@hl/testkit/http.ts";
import type { TestCloud } from "@hl/testkit/system.ts";
import { testInstanceId } from "@hl/testkit/system.ts";
import { numberOf } from "./payload.ts";

const lookEveryMs = 200;
/** Enough that the daemon's own events do not hide ours. */
const newestCount = 60;

interface Ended {
  readonly atMs: number;
  readonly number: number;
}

export class Recovery {
  readonly #seed: string;
  readonly #cloud: TestCloud;
  readonly #log: (line: string) => void;
  #open: Ended[] = [];
  /** The longest so far. */
  longestMs = 0;

  /** @param log told of each that takes longer than any before */
  constructor(seed: string, cloud: TestCloud, log: (line: string) => void) {
    this.#seed = seed;
    this.#cloud = cloud;
    this.#log = log;
  }

  /** A fault has ended; events from this number on are handed over after it. */
  faultEnded(number: number): void {
    this.#open.push({ atMs: systemClock.now(), number });
  }

  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await systemClock.sleep(lookEveryMs, signal).catch(() => {});
      if (this.#open.length === 0) continue;
      const newest = await this.#newest().catch(() => -1);
      const now = systemClock.now();
      for (const { atMs, number } of this.#open)
        if (newest >= number && now - atMs > this.longestMs) {
          this.longestMs = now - atMs;
          this.#log(`events get through again, ${Math.round(this.longestMs / 1_000)} s after the end of a fault`);
        }
      this.#open = this.#open.filter(({ number }) => newest < number);
    }
  }

  /** The highest number among the newest events; -1 where there is none. */
  async #newest(): Promise<number> {
    const { url, operatorToken: token } = this.#cloud;
    const { json } = await http(`${url}/v1/instances/${testInstanceId}/events?last=${newestCount}`, { token });
    const numbers = (json.events as { event_id: string }[]).map(({ event_id }) => numberOf(this.#seed, event_id) ?? -1);
    return Math.max(-1, ...numbers);
  }
}
