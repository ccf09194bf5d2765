import { errorText, type Logger } from "@hl/core/logger.ts";
import type { LanesAcked } from "@hl/protocol/event-lanes.ts";
import type { CloudHttp } from "../cloud/http.ts";
import type { LinkNumbers } from "../cloud/link-numbers.ts";
import { isUnauthenticated } from "../cloud/link.ts";
import type { Retry } from "../cloud/retry.ts";
import type { CloudTarget } from "../cloud/target.ts";
import { Uplink } from "../cloud/uplink.ts";
import { DeliveredRetention } from "../store/delivered-retention.ts";
import type { CloudPorts } from "./cloud-ports.ts";

/** What a cloud that was restored from a backup can get once more. Research: fleet-agents (d.4). */
const deliveredKeptMs = 3_600_000;
const deliveredKeptBytes = 64 * 2 ** 20;

export interface UplinkParts {
  readonly http: CloudHttp;
  readonly retry: Retry;
  readonly target: CloudTarget;
  readonly logger: Logger;
  readonly onContact: () => void;
  readonly numbers: LinkNumbers;
}

export interface ComposedUplink {
  readonly uplink: Uplink;
  /** Sends again what the cloud lacks of what it had acknowledged. */
  readonly reconcile: (acked: LanesAcked, cloudRunId: string | undefined) => Promise<void>;
}

/** The way of events to the cloud. */
export function composeUplink(ports: CloudPorts, parts: UplinkParts): ComposedUplink {
  const { live, clock, spool } = ports;
  const { http, retry, target, logger, onContact, numbers } = parts;
  const isEnabled = live.part(({ daemon }) => daemon.event_streaming.enabled);
  const kept = live.options({ spool, clock, logger, keepMs: deliveredKeptMs }, ({ daemon }) => ({
    keepBytes: Math.min(deliveredKeptBytes, daemon.event_streaming.max_queue_bytes),
  }));
  const uplink = new Uplink({
    spool,
    http,
    clock,
    logger: logger.child({ part: "events" }),
    retry,
    get enabled() {
      return isEnabled();
    },
    get batchEventsMax() {
      return numbers.value("batch_size");
    },
    get batchBytesMax() {
      return numbers.value("batch_bytes");
    },
    get flushIntervalMs() {
      return numbers.ms("flush_interval");
    },
    get criticalFlushIntervalMs() {
      return Math.min(numbers.ms("critical_flush_interval"), numbers.ms("flush_interval"));
    },
    retention: new DeliveredRetention(kept),
    target: (signal) => target.endpoint("events", signal),
    renew: (signal) => target.renew(signal),
    isUnauthenticated,
    onContact,
  });
  const reconcile: ComposedUplink["reconcile"] = async (acked, cloudRunId) => {
    try {
      await uplink.compare(acked, cloudRunId);
    } catch (error) {
      logger.error({ error: errorText(error) }, "what the cloud has could not be compared with what it acknowledged");
    }
  };
  return { uplink, reconcile };
}
