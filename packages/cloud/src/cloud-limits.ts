/** The numbers of hl-cloud, each with its unit; a test may make them small. */
export interface CloudLimits {
  readonly accessTokenSeconds: number;
  readonly verifiedTokensMax: number;
  readonly heartbeatSeconds: number;
  /** Heartbeats that may be missed before an instance is lost, and what is waited besides. */
  readonly heartbeatsMissedMax: number;
  readonly leaseGraceMs: number;
  readonly eventBatchSize: number;
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
  readonly familyLifeMs: number;
  readonly instanceLifeMs: number;
  readonly drainMs: number;
  /** Daemons are told to spread their return over so much when hl-cloud stops. */
  readonly drainSpreadSeconds: number;
  /** A daemon has so long to show that it lives, when another one comes under its identity. */
  readonly livenessMs: number;
}

const dayMs = 24 * 3_600_000;

export const defaultLimits: CloudLimits = {
  accessTokenSeconds: 900,
  verifiedTokensMax: 50_000, // Some 200 bytes each; a larger fleet than that is more than one process serves.
  heartbeatSeconds: 30,
  heartbeatsMissedMax: 3,
  leaseGraceMs: 15_000,
  eventBatchSize: 100,
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
  familyLifeMs: 31 * dayMs, // A refresh token lives for 30 days.
  instanceLifeMs: 90 * dayMs,
  drainMs: 4_000,
  drainSpreadSeconds: 60, // A core takes about 1000 TLS handshakes a second; twice what 20 000 daemons need on one.
  livenessMs: 5_000,
};

/** For so long an instance may be silent before it is lost. */
export function leaseMs(limits: CloudLimits): number {
  return limits.heartbeatsMissedMax * limits.heartbeatSeconds * 1000 + limits.leaseGraceMs;
}
