import type { Clock } from "@hl/core/clock.ts";
import type { CloudLimits } from "../cloud-limits.ts";
import { Admission } from "./admission.ts";
import { RateLimits } from "./rate-limits.ts";

/** What VMs may ask of this hl-cloud, all of them together and each of them alone. */
export interface VmLimits {
  /** New command channels. */
  readonly connections: Admission;
  /** Registrations and renewed tokens: each is a signature and a write. */
  readonly registrations: Admission;
  /** Heartbeats and status of one instance. */
  readonly signsOfInstance: RateLimits;
  /** Batches of events of one instance. */
  readonly batchesOfInstance: RateLimits;
  readonly registrationsOfInstance: RateLimits;
  /** New command channels of one instance, whichever way they come. */
  readonly connectionsOfInstance: RateLimits;
  readonly renewalsOfInstance: RateLimits;
}

/** Lets an enrolled VM in, or throws. Its own rate first: one that runs wild takes no place of the others. */
export function admitInstance(instanceId: string, own: RateLimits, all: Admission): void {
  own.take(instanceId);
  all.admit();
}

export function vmLimits(limits: CloudLimits, clock: Pick<Clock, "now">): VmLimits {
  return {
    connections: new Admission({
      what: "new connections",
      limit: { perSecond: limits.connectionsPerSecondMax, burst: limits.connectionsBurstMax },
      clock,
    }),
    registrations: new Admission({
      what: "registrations and token renewals",
      limit: { perSecond: limits.registrationsPerSecondMax, burst: limits.registrationsBurstMax },
      clock,
    }),
    signsOfInstance: new RateLimits({
      what: "heartbeats",
      limit: { perSecond: limits.heartbeatsPerSecondMax, burst: limits.heartbeatsBurstMax },
      clock,
    }),
    batchesOfInstance: new RateLimits({
      what: "batches of events",
      limit: { perSecond: limits.eventBatchesPerSecondMax, burst: limits.eventBatchesBurstMax },
      clock,
    }),
    registrationsOfInstance: new RateLimits({
      what: "registrations",
      limit: { perSecond: limits.instanceRegistrationsPerSecondMax, burst: limits.instanceRegistrationsBurstMax },
      clock,
    }),
    connectionsOfInstance: new RateLimits({
      what: "new connections",
      limit: { perSecond: limits.instanceConnectionsPerSecondMax, burst: limits.instanceConnectionsBurstMax },
      clock,
    }),
    renewalsOfInstance: new RateLimits({
      what: "token renewals",
      limit: { perSecond: limits.instanceRenewalsPerSecondMax, burst: limits.instanceRenewalsBurstMax },
      clock,
    }),
  };
}
