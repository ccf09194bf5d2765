import { CloudConfigError } from "./config-error.ts";

/** The numbers of hl-cloud, each with its unit; a test may make them small. */
export interface CloudLimits {
  readonly accessTokenSeconds: number;
  readonly verifiedTokensMax: number;
  /** Told to VMs; it grows with the fleet from the first to the second, so that all of them send no more than the third. */
  readonly heartbeatSeconds: number;
  readonly heartbeatSecondsMax: number;
  readonly fleetHeartbeatsPerSecondMax: number;
  /** Heartbeats that may be missed before an instance is lost, and what is waited besides. */
  readonly heartbeatsMissedMax: number;
  readonly leaseGraceMs: number;
  readonly eventBatchSize: number;
  /** Longest wait of a VM for a fuller batch of events, while somebody follows them live. */
  readonly viewerFlushSeconds: number;
  readonly bodyBytesMax: number;
  readonly messageBytesMax: number;
  readonly streamQueueBytesMax: number;
  readonly requestsPerInstanceMax: number;
  readonly inFlightPerInstanceMax: number;
  readonly connectionsPerOperatorMax: number;
  /** New command channels that are let in; over it 503 with Retry-After. */
  readonly connectionsPerSecondMax: number;
  readonly connectionsBurstMax: number;
  /** Registrations and renewed tokens of the whole fleet, likewise. */
  readonly registrationsPerSecondMax: number;
  readonly registrationsBurstMax: number;
  /** Of one instance; over it 429 with Retry-After. */
  readonly heartbeatsPerSecondMax: number;
  readonly heartbeatsBurstMax: number;
  readonly eventBatchesPerSecondMax: number;
  readonly eventBatchesBurstMax: number;
  readonly instanceConnectionsPerSecondMax: number;
  readonly instanceConnectionsBurstMax: number;
  readonly instanceRenewalsPerSecondMax: number;
  readonly instanceRenewalsBurstMax: number;
  readonly instanceRegistrationsPerSecondMax: number;
  readonly instanceRegistrationsBurstMax: number;
  readonly presenceFlushMs: number;
  readonly helloWithinMs: number;
  readonly pingIntervalMs: number;
  readonly deadAfterMs: number;
  readonly queueLifeMs: number;
  readonly returnWithinMs: number;
  readonly eventLifeMs: number;
  readonly requestLifeMs: number;
  readonly enrollmentLifeMs: number;
  readonly refreshLifeMs: number;
  readonly familyLifeMs: number;
  readonly instanceLifeMs: number;
  readonly drainMs: number;
  /** Daemons are told to spread their return over so much when hl-cloud stops. */
  readonly drainSpreadSeconds: number;
  /** A daemon has so long to show that it lives, when another one comes under its identity. */
  readonly livenessMs: number;
  /** A copied VM asks again and again: it is an event only so often. */
  readonly identityAlarmMs: number;
}

const dayMs = 24 * 3_600_000;

export const defaultLimits: CloudLimits = {
  accessTokenSeconds: 900,
  verifiedTokensMax: 50_000, // Some 200 bytes each; a larger fleet than that is more than one process serves.
  heartbeatSeconds: 30,
  heartbeatSecondsMax: 300, // What a daemon obeys.
  fleetHeartbeatsPerSecondMax: 200, // A fifth of a core (ADR 19): 6000 VMs at 30 s.
  heartbeatsMissedMax: 3,
  leaseGraceMs: 15_000,
  eventBatchSize: 100,
  viewerFlushSeconds: 0.25,
  bodyBytesMax: 10 * 1024 * 1024,
  messageBytesMax: 10 * 1024 * 1024,
  streamQueueBytesMax: 4 * 1024 * 1024,
  requestsPerInstanceMax: 1_000,
  inFlightPerInstanceMax: 128, // The daemon takes 256; the rest is left for what others ask of it.
  connectionsPerOperatorMax: 64,
  // Three fifths of what one core was measured to take (ADR 19). A fleet of 5000 that comes back within 10 s is 500 a second, and
  // the burst is what chance adds to that.
  connectionsPerSecondMax: 500,
  connectionsBurstMax: 1_000,
  registrationsPerSecondMax: 200,
  registrationsBurstMax: 400,
  heartbeatsPerSecondMax: 2, // A daemon sends one in 30 s, and its status when that changes.
  heartbeatsBurstMax: 60,
  eventBatchesPerSecondMax: 200, // More than a daemon gets through with one batch at a time.
  eventBatchesBurstMax: 400,
  instanceConnectionsPerSecondMax: 1, // A network that flaps, and one that changes between WebSocket and polls.
  instanceConnectionsBurstMax: 20,
  instanceRenewalsPerSecondMax: 2, // Access tokens may be made to live for seconds.
  instanceRenewalsBurstMax: 60,
  instanceRegistrationsPerSecondMax: 0.2,
  instanceRegistrationsBurstMax: 10,
  presenceFlushMs: 15_000,
  helloWithinMs: 15_000,
  pingIntervalMs: 20_000,
  deadAfterMs: 45_000,
  queueLifeMs: dayMs,
  returnWithinMs: 1_800_000, // The longest that a daemon waits between two attempts, twice.
  eventLifeMs: 30 * dayMs,
  requestLifeMs: 7 * dayMs,
  enrollmentLifeMs: dayMs,
  refreshLifeMs: 30 * dayMs, // A VM that was off for longer enrols again; a token that leaked and was never used dies by itself.
  familyLifeMs: 31 * dayMs,
  instanceLifeMs: 90 * dayMs,
  drainMs: 4_000,
  drainSpreadSeconds: 60, // A core takes about 1000 TLS handshakes a second; twice what 20 000 daemons need on one.
  livenessMs: 5_000,
  identityAlarmMs: 600_000,
};

/** For so long an instance may be silent before it is lost. */
export function leaseMs(limits: CloudLimits, heartbeatSeconds: number): number {
  return limits.heartbeatsMissedMax * heartbeatSeconds * 1000 + limits.leaseGraceMs;
}

/** What single numbers do not show. Throws where two of them cannot hold together. */
export function judgeLimits({ heartbeatSeconds, heartbeatSecondsMax, pingIntervalMs, deadAfterMs }: CloudLimits): void {
  if (heartbeatSecondsMax < heartbeatSeconds) {
    const text = `--heartbeat-seconds-max ${heartbeatSecondsMax} is below --heartbeat-seconds ${heartbeatSeconds}`;
    throw new CloudConfigError(text);
  }
  if (deadAfterMs <= pingIntervalMs) {
    const text = `--dead-after-seconds ${deadAfterMs / 1000} is not above --ping-interval-seconds ${pingIntervalMs / 1000}`;
    throw new CloudConfigError(`${text}: nobody would be asked before he is given up`);
  }
}
