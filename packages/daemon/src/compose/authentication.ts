import type { Config } from "@hl/config/load.ts";
import { tlsPolicy } from "@hl/config/tls-policy.ts";
import type { Clock } from "@hl/core/clock.ts";
import type { Logger } from "@hl/core/logger.ts";
import { existsSync } from "node:fs";
import { buildConnector } from "undici";
import { loadLocalToken, localTokenAuthenticator, type Authenticate } from "../api/local-token.ts";
import { fetchMsMax, fetchPublicKeys } from "../auth/fetch-public-keys.ts";
import { JwtAuthenticator } from "../auth/jwt-authenticator.ts";
import { PublicKeys } from "../auth/public-keys.ts";
import { tokenRefused } from "../auth/refused.ts";
import { looksLikeJwt } from "../auth/token-text.ts";
import { cloudTls, refusalOf } from "../cloud/tls.ts";

export interface AuthenticationPorts {
  readonly config: Config;
  readonly clock: Clock;
  readonly logger: Logger;
}

const methodOff = 'JWTs are not accepted here: authentication.methods of security.json does not name "jwt"';

/** Whose a token is, for every way in: the local token's, or a JWT's where `authentication.methods` names them. */
export function composeAuthentication({ config, clock, logger }: AuthenticationPorts): Authenticate {
  const local = localTokenAuthenticator(loadLocalToken(config.daemon.local_api.token_file));
  const { methods, jwt } = config.security.authentication;
  const keys = new PublicKeys({
    clock,
    logger: logger.child({ part: "auth" }),
    fetch: async () => fetchPublicKeys({ url: jwt.public_key_url, connect: connectorFor(config, jwt.public_key_url) }),
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

/** The public keys are fetched as everything is that the daemon asks of others: with the TLS of security.json, or not at all (X2). */
function connectorFor(config: Config, url: string): buildConnector.connector {
  const policy = tlsPolicy(config, existsSync(config.daemon.cloud_api.auth.cert_file));
  const refusal = refusalOf(url, policy);
  if (refusal !== undefined) throw new Error(refusal);
  const { cert_file: cert, key_file: key } = config.daemon.cloud_api.auth;
  const { options } = cloudTls(policy, { ca: config.security.authentication.certificate.ca_cert, cert, key });
  return buildConnector({ ...options, timeout: fetchMsMax, maxCachedSessions: 0 });
}
