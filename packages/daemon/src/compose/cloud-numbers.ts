import type { Config } from "@hl/config/load.ts";
import type { Logger } from "@hl/core/logger.ts";
import { linkSettingNames, type LinkSettingName } from "@hl/protocol/link-settings.ts";
import { LinkNumbers } from "../cloud/link-numbers.ts";
import type { PaceOptions } from "../cloud/request-pace.ts";
import type { RetryOptions } from "../cloud/retry.ts";
import type { LiveConfig } from "./live-config.ts";

type Daemon = Config["daemon"];
type EventName = LinkSettingName & keyof Daemon["event_streaming"];
type ConnectionName = LinkSettingName & keyof Daemon["cloud_api"]["connection"];

/** The numbers of the link, as configured until the cloud sets others. */
export function composeNumbers(live: LiveConfig, logger: Logger): LinkNumbers {
  const configured = live.options({}, ({ daemon: { cloud_api: cloud, event_streaming: events } }) => {
    const values = linkSettingNames.map((name) => [
      name,
      name in events ? events[name as EventName] : cloud.connection[name as ConnectionName],
    ]);
    return Object.fromEntries(values) as Readonly<Record<LinkSettingName, number>>;
  });
  return new LinkNumbers(configured, logger);
}

/** How requests, or the command channel, are repeated. A whole fleet loses its channels at one moment: their first window is larger. */
export function retryOptions(
  numbers: LinkNumbers,
  of: "requests" | "channel",
  common: Pick<RetryOptions, "clock" | "random" | "logger" | "onFailure" | "attemptsMax">,
): RetryOptions {
  return {
    ...common,
    attemptsMax: of === "channel" ? undefined : common.attemptsMax,
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
export function paceOf({ daemon }: Config): PaceOptions {
  const { rate_limiting: rate } = daemon.cloud_api;
  return {
    requestsPerMinute: rate.requests_per_minute,
    burst: rate.burst_limit,
    strategy: rate.backoff_strategy,
  };
}
