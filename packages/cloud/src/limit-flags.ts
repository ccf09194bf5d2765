import { InvalidArgumentError, Option } from "commander";
import { defaultLimits, type CloudLimits } from "./cloud-limits.ts";

/**
 * The limits of hl-cloud as an operator may set them: `--NAME N`, or HL_CLOUD_NAME in the environment; the flag wins. The name ends
 * with the unit. docs/hl-cloud.md has the same table, and a test compares them.
 */
export interface LimitFlag {
  readonly limit: keyof CloudLimits;
  /** Without the dashes. */
  readonly name: string;
  /** How much of the limit's own unit one of the flag's is. */
  readonly factor: number;
  readonly min: number;
  readonly max: number;
  readonly isWhole: boolean;
  readonly summary: string;
}

type Bounds = readonly [min: number, max: number];

const flag = (limit: keyof CloudLimits, name: string, [min, max]: Bounds, summary: string, factor = 1): LimitFlag => ({
  limit,
  name,
  factor,
  min,
  max,
  isWhole: Number.isInteger(min),
  summary,
});

const rate: Bounds = [0.01, 1_000_000];
const burst: Bounds = [1, 1_000_000];
const bodyBytes: Bounds = [65_536, 1_073_741_824];
const days: Bounds = [1, 36_500];
const dayMs = 24 * 3_600_000;

export const limitFlags: readonly LimitFlag[] = [
  flag("heartbeatSeconds", "heartbeat-seconds", [15, 300], "interval of heartbeats while the fleet is small"),
  flag("heartbeatSecondsMax", "heartbeat-seconds-max", [15, 300], "the same, however large the fleet is"),
  flag(
    "fleetHeartbeatsPerSecondMax",
    "fleet-heartbeats-per-second-max",
    rate,
    "heartbeats of all VMs: over it the interval grows",
  ),
  flag("heartbeatsMissedMax", "heartbeats-missed-max", [1, 100], "heartbeats that may be missed before a VM is lost"),
  flag("leaseGraceMs", "lease-grace-seconds", [0, 3_600], "what is waited besides", 1_000),
  flag(
    "viewerFlushSeconds",
    "viewer-flush-seconds",
    [0.1, 60],
    "longest wait of events in a VM while somebody follows them live",
  ),
  flag("connectionsPerSecondMax", "connections-per-second-max", rate, "new command channels of all VMs; over it 503"),
  flag("connectionsBurstMax", "connections-burst-max", burst, "of them at once"),
  flag(
    "registrationsPerSecondMax",
    "registrations-per-second-max",
    rate,
    "registrations and renewed tokens of all VMs; over it 503",
  ),
  flag("registrationsBurstMax", "registrations-burst-max", burst, "of them at once"),
  flag(
    "instanceConnectionsPerSecondMax",
    "instance-connections-per-second-max",
    rate,
    "new command channels of one VM; over it 429",
  ),
  flag("instanceConnectionsBurstMax", "instance-connections-burst-max", burst, "of them at once"),
  flag(
    "instanceRenewalsPerSecondMax",
    "instance-renewals-per-second-max",
    rate,
    "renewed tokens of one VM; over it 429",
  ),
  flag("instanceRenewalsBurstMax", "instance-renewals-burst-max", burst, "of them at once"),
  flag(
    "instanceRegistrationsPerSecondMax",
    "instance-registrations-per-second-max",
    rate,
    "registrations of one VM; over it 429",
  ),
  flag("instanceRegistrationsBurstMax", "instance-registrations-burst-max", burst, "of them at once"),
  flag(
    "heartbeatsPerSecondMax",
    "instance-heartbeats-per-second-max",
    rate,
    "heartbeats and status of one VM; over it 429",
  ),
  flag("heartbeatsBurstMax", "instance-heartbeats-burst-max", burst, "of them at once"),
  flag(
    "eventBatchesPerSecondMax",
    "instance-event-batches-per-second-max",
    rate,
    "batches of events of one VM; over it 429",
  ),
  flag("eventBatchesBurstMax", "instance-event-batches-burst-max", burst, "of them at once"),
  flag(
    "requestsPerInstanceMax",
    "instance-requests-max",
    [1, 1_000_000],
    "unanswered requests of one VM; over it 429 to the operator",
  ),
  flag(
    "inFlightPerInstanceMax",
    "instance-requests-in-flight-max",
    [1, 256],
    "requests at one VM at once; the others wait",
  ),
  flag(
    "connectionsPerOperatorMax",
    "operator-connections-max",
    [1, 100_000],
    "open streams and WebSockets of one operator; over it 429",
  ),
  flag("bodyBytesMax", "body-bytes-max", bodyBytes, "body of a request; over it 413"),
  flag("messageBytesMax", "message-bytes-max", bodyBytes, "message on a WebSocket; over it the WebSocket is closed"),
  flag(
    "streamQueueBytesMax",
    "stream-queue-bytes-max",
    bodyBytes,
    "output on its way to an operator who reads slowly; over it the stream is cut",
  ),
  flag(
    "verifiedTokensMax",
    "verified-tokens-max",
    [1, 10_000_000],
    "access tokens whose signature is remembered as checked",
  ),
  flag(
    "presenceFlushMs",
    "presence-flush-seconds",
    [1, 3_600],
    "between two writes of what was last seen of VMs",
    1_000,
  ),
  flag("helloWithinMs", "hello-within-seconds", [1, 600], "a connection without vm/hello is closed then", 1_000),
  flag(
    "pingIntervalMs",
    "ping-interval-seconds",
    [1, 600],
    "silence after which the other end of a WebSocket is asked",
    1_000,
  ),
  flag("deadAfterMs", "dead-after-seconds", [2, 3_600], "silence after which it is given up", 1_000),
  flag(
    "livenessMs",
    "liveness-seconds",
    [1, 60],
    "a VM has so long to show that it lives, when another comes under its identity",
    1_000,
  ),
  flag(
    "identityAlarmMs",
    "identity-alarm-seconds",
    [1, 86_400],
    "between two events that say the same identity is in use twice",
    1_000,
  ),
  flag(
    "queueLifeMs",
    "queued-requests-life-hours",
    [1, 8_760],
    "a request that waits for its VM is answered instance_offline then",
    3_600_000,
  ),
  flag(
    "returnWithinMs",
    "return-within-minutes",
    [1, 1_440],
    "after its own start hl-cloud gives VMs so long to come back before it gives up what they were asked",
    60_000,
  ),
  flag("eventLifeMs", "events-life-days", days, "events are forgotten so long after they came", dayMs),
  flag(
    "requestLifeMs",
    "answered-requests-life-days",
    days,
    "requests are forgotten so long after their answer",
    dayMs,
  ),
  flag(
    "enrollmentLifeMs",
    "expired-enrollments-life-days",
    days,
    "enrolment tokens are forgotten so long after they expired",
    dayMs,
  ),
  flag("refreshLifeMs", "refresh-token-life-days", [1, 365], "refresh tokens hold so long after they were made", dayMs),
  flag(
    "familyLifeMs",
    "credentials-life-days",
    days,
    "credentials are forgotten so long after they were renewed, and not before they hold no more",
    dayMs,
  ),
  flag(
    "instanceLifeMs",
    "instances-life-days",
    days,
    "instances are forgotten so long after they were last heard of",
    dayMs,
  ),
  flag("drainMs", "drain-seconds", [1, 600], "at a stop, requests under way have so long to end", 1_000),
];

export function variableOf({ name }: Pick<LimitFlag, "name">): string {
  return `HL_CLOUD_${name.toUpperCase().replaceAll("-", "_")}`;
}

/** For commander; without a value the option is not set. */
export function limitOptions(): readonly Option[] {
  return limitFlags.map((each) =>
    new Option(`--${each.name} <n>`, `${each.summary} (${rangeOf(each)}; default: ${defaultOf(each)})`)
      .env(variableOf(each))
      .argParser((text) => numberIn(each, text)),
  );
}

export function defaultOf({ limit, factor }: LimitFlag): number {
  return defaultLimits[limit] / factor;
}

export function rangeOf({ min, max }: LimitFlag): string {
  return `${min} to ${max}`;
}

function numberIn(each: LimitFlag, text: string): number {
  const value = text.trim() === "" ? Number.NaN : Number(text);
  const isNumber = each.isWhole ? Number.isInteger(value) : Number.isFinite(value);
  if (isNumber && value >= each.min && value <= each.max) return value;
  throw new InvalidArgumentError(`It must be a ${each.isWhole ? "whole " : ""}number from ${rangeOf(each)}.`);
}

/** @param values what commander read, by its own camel case names */
export function limitsOf(values: Readonly<Record<string, unknown>>): Partial<CloudLimits> {
  const limits: Partial<Record<keyof CloudLimits, number>> = {};
  for (const { limit, name, factor } of limitFlags) {
    const value = values[name.replace(/-(.)/g, (_, letter: string) => letter.toUpperCase())];
    if (typeof value === "number") limits[limit] = value * factor;
  }
  return limits;
}
