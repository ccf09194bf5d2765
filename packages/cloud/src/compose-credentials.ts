import type { Clock } from "@hl/core/clock.ts";
import type { Logger } from "@hl/core/logger.ts";
import type { CloudLimits } from "./cloud-limits.ts";
import type { Fleet } from "./fleet/fleet.ts";
import type { SecurityEvents } from "./fleet/security-events.ts";
import { admitInstance, type VmLimits } from "./limits/vm-limits.ts";
import type { CredentialStore } from "./store/store.ts";
import { AccessTokens } from "./tokens/access-tokens.ts";
import { Credentials } from "./tokens/credentials.ts";
import type { Keys } from "./tokens/keys.ts";
import { VerifiedTokens } from "./tokens/verified-tokens.ts";

export interface CredentialsParts {
  readonly store: CredentialStore;
  readonly keys: Keys;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly limits: CloudLimits;
  readonly admission: VmLimits;
  readonly security: SecurityEvents;
  /** Built later: it is asked only once VMs come. */
  readonly fleet: () => Fleet;
}

/** The part of the composition root that knows who VMs are. */
export function composeCredentials(parts: CredentialsParts): Credentials {
  const { store, keys, clock, logger, limits, admission, security, fleet } = parts;
  const accessTokens = new AccessTokens(keys, clock, limits.accessTokenSeconds);
  return new Credentials({
    store,
    accessTokens: new VerifiedTokens(accessTokens, clock, limits.verifiedTokensMax),
    secret: keys.secret,
    clock,
    logger,
    refreshLifeMs: limits.refreshLifeMs,
    onFenced: (instanceId, why) => fleet().disconnect(instanceId, why),
    security,
    admitRenewal: (instanceId) => admitInstance(instanceId, admission.renewalsOfInstance, admission.registrations),
    requireSole: (instanceId, runId) => fleet().requireSole(instanceId, runId),
  });
}
