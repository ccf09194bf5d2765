import type { Clock } from "@hl/core/clock.ts";
import { LoopService } from "@hl/core/service.ts";
import type { ParamsOf } from "@hl/protocol/method.ts";
import { vmHeartbeat } from "@hl/protocol/methods/vm.ts";
import type { CloudHttp } from "./http.ts";
import type { Retry } from "./retry.ts";

export interface HeartbeatOptions {
  readonly clock: Clock;
  readonly random: () => number;
  readonly http: CloudHttp;
  readonly retry: Retry;
  /** Until the cloud says another one; what it says is kept within the two limits. */
  readonly intervalMs: number;
  readonly intervalMinMs: number;
  readonly intervalMaxMs: number;
  readonly target: (signal: AbortSignal) => Promise<{ url: string; token: string }>;
  readonly renew: (signal: AbortSignal) => Promise<void>;
  readonly isUnauthenticated: (error: unknown) => boolean;
  readonly beat: () => ParamsOf<typeof vmHeartbeat>;
  /** @param tookMs how long the question was under way */
  readonly onContact: (serverTimeMs: number, tookMs: number) => void;
}

/**
 * Signs of life, independent of the command channel; they need no disk (C5). The first comes somewhere within an interval,
 * because a fleet often starts at one moment. While the cloud refuses this VM, this is the part that asks again.
 */
export class Heartbeat extends LoopService {
  override readonly name = "cloud/heartbeat";
  readonly #options: HeartbeatOptions;
  /** What the cloud has said. */
  #toldMs: number | undefined;

  constructor(options: HeartbeatOptions) {
    super();
    this.#options = options;
  }

  /** The server paces its fleet; the limits keep a mistake on its side harmless. */
  setInterval(seconds: number): void {
    this.#toldMs = seconds * 1000;
  }

  get #intervalMs(): number {
    const { intervalMs, intervalMinMs, intervalMaxMs } = this.#options;
    return this.#toldMs === undefined ? intervalMs : Math.min(Math.max(this.#toldMs, intervalMinMs), intervalMaxMs);
  }

  protected override async run(signal: AbortSignal): Promise<void> {
    const { clock, random, http, retry, target, renew, isUnauthenticated, beat, onContact } = this.#options;
    await clock.sleep(random() * this.#intervalMs, signal).catch(() => {});
    while (!signal.aborted) {
      try {
        const { url, token } = await target(signal);
        const askedAt = clock.now();
        const answer = vmHeartbeat.result.parse(await http.call(url, "vm/heartbeat", beat(), token, signal));
        retry.succeeded();
        this.setInterval(answer.heartbeat_interval);
        onContact(answer.server_time * 1000, clock.now() - askedAt);
        await clock.sleep(this.#intervalMs * (0.9 + random() * 0.2), signal).catch(() => {});
      } catch (error) {
        if (isUnauthenticated(error)) await renew(signal).catch(() => {});
        await retry.failed(error, "the heartbeat", signal);
      }
    }
  }
}
