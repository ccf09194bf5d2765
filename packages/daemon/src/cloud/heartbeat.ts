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
  readonly target: (signal: AbortSignal) => Promise<{ url: string; token: string }>;
  readonly renew: (signal: AbortSignal) => Promise<void>;
  readonly isUnauthenticated: (error: unknown) => boolean;
  readonly beat: () => ParamsOf<typeof vmHeartbeat>;
  readonly onContact: (serverTimeMs: number) => void;
}

/** Signs of life, independent of the command channel; they need no disk (C5). */
export class Heartbeat extends LoopService {
  override readonly name = "cloud/heartbeat";
  readonly #options: HeartbeatOptions;

  constructor(options: HeartbeatOptions) {
    super();
    this.#options = options;
  }

  protected override async run(signal: AbortSignal): Promise<void> {
    const { clock, random, http, retry, target, renew, isUnauthenticated, beat, onContact } = this.#options;
    while (!signal.aborted) {
      try {
        const { url, token } = await target(signal);
        const answer = vmHeartbeat.result.parse(await http.call(url, "vm/heartbeat", beat(), token, signal));
        onContact(answer.server_time * 1000);
        // The server paces its fleet; the clamp keeps a mistake on its side harmless.
        const intervalMs = Math.min(Math.max(answer.heartbeat_interval * 1000, 1_000), 300_000);
        retry.succeeded();
        await clock.sleep(intervalMs * (0.9 + random() * 0.2), signal).catch(() => {});
      } catch (error) {
        if (isUnauthenticated(error)) await renew(signal).catch(() => {});
        await retry.failed(error, "the heartbeat", signal);
      }
    }
  }
}
