import type { Config } from "@hl/config/load.ts";
import { tlsPolicy } from "@hl/config/tls-policy.ts";
import type { Clock } from "@hl/core/clock.ts";
import type { Logger } from "@hl/core/logger.ts";
import { loadLocalToken, localTokenAuthenticator, type Authenticate } from "../api/local-token.ts";
import { fetchMsMax, fetchPublicKeys } from "../auth/fetch-public-keys.ts";
import { JwtAuthenticator } from "../auth/jwt-authenticator.ts";
import { PublicKeys } from "../auth/public-keys.ts";
import { tokenRefused } from "../auth/refused.ts";
import { looksLikeJwt } from "../auth/token-text.ts";
import { refusalOf } from "../cloud/tls.ts";
import type { Connect } from "../network/outbound.ts";
import type { ComposedOutbound } from "./outbound.ts";

export interface AuthenticationPorts {
  readonly config: Config;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly outbound: ComposedOutbound;
}

const methodOff = 'JWTs are not accepted here: authentication.methods of security.json does not name "jwt"';

/** Whose a token is, for every way in: the local token's, or a JWT's where `authentication.methods` names them. */
export function composeAuthentication({ config, clock, logger, outbound }: AuthenticationPorts): Authenticate {
  const local = localTokenAuthenticator(loadLocalToken(config.daemon.local_api.token_file));
  const { methods, jwt } = config.security.authentication;
  const keys = new PublicKeys({
    clock,
    logger: logger.child({ part: "auth" }),
    fetch: async () =>
      fetchPublicKeys({ url: jwt.public_key_url, connect: connectTo(config, jwt.public_key_url, outbound) }),
    outageMs: jwt.public_key_outage * 1000,
  });
  const rules = {
    algorithm: jwt.algorithm,
    issuer: jwt.issuer,
    audience: jwt.audience,
    lifeSecondsMax: jwt.expiry,
    skewSeconds: jwt.clock_skew,
    defaultRole: config.security.authorization.default_role,
  };
  const jwts = methods.includes("jwt") ? new JwtAuthenticator({ clock, keys, rules }) : undefined;
  // Not async: the local token, which most callers have, is judged at once.
  return (token, via) => {
    const caller = local(token, via);
    if (caller !== undefined || !looksLikeJwt(token)) return caller;
    if (jwts === undefined) throw tokenRefused("JWTs are switched off", methodOff);
    return jwts.authenticate(token, via);
  };
}

/** At the cloud's own address with all that holds for the cloud, its pins too; at another, which the configuration names by this URL, as any server. */
function connectTo(config: Config, url: string, composed: ComposedOutbound): Connect {
  const { outbound, publicTls } = composed;
  const { base_url: cloud } = config.daemon.cloud_api;
  if (cloud === undefined || new URL(url).origin !== new URL(cloud).origin)
    return async (to, signal) => outbound.open(to, { tls: publicTls, timeoutMs: fetchMsMax, signal, implied: true });
  const refusal = refusalOf(url, tlsPolicy(config));
  if (refusal !== undefined) throw new Error(refusal);
  return composed.connectCloud(() => fetchMsMax);
}
