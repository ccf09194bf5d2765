import type { Config } from "@hl/config/load.ts";
import type { Logger } from "@hl/core/logger.ts";
import { LinkNumbers } from "../cloud/link-numbers.ts";
import type { PaceOptions } from "../cloud/request-pace.ts";
import type { RetryOptions } from "../cloud/retry.ts";

/** The numbers of the link, as configured until the cloud sets others. */
export function composeNumbers({ daemon }: Config, logger: Logger): LinkNumbers {
  const { batch_size, batch_bytes, flush_interval, critical_flush_interval } = daemon.event_streaming;
  const events = { batch_size, batch_bytes, flush_interval, critical_flush_interval };
  return new LinkNumbers({ ...daemon.cloud_api.connection, ...events }, logger);
}

/** How requests, or the command channel, are repeated. A whole fleet loses its channels at one moment: their first window is larger. */
export function retryOptions(
  numbers: LinkNumbers,
  of: "requests" | "channel",
  common: Pick<RetryOptions, "clock" | "random" | "logger" | "onFailure">,
): RetryOptions {
  return {
    ...common,
    get minMs() {
      return numbers.ms(of === "channel" ? "reconnect_spread" : "retry_delay");
    },
    get maxMs() {
      return numbers.ms("max_retry_delay");
    },
    get healthyMs() {
      return of === "channel" ? numbers.ms("healthy_after") : 0;
    },
    get refused() {
      return { minMs: numbers.ms("refused_retry_delay"), maxMs: numbers.ms("refused_retry_delay_max") };
    },
    get revoked() {
      return { minMs: numbers.ms("revoked_retry_delay"), maxMs: numbers.ms("revoked_retry_delay_max") };
    },
  };
}

/** `cloud_api.rate_limiting`. */
export function paceOf({ rate_limiting: rate }: Config["daemon"]["cloud_api"]): PaceOptions {
  return {
    requestsPerMinute: rate.requests_per_minute,
    burst: rate.burst_limit,
    strategy: rate.backoff_strategy,
  };
}
