/** Checks of the cloud's address, networks and TLS, and the defaults that follow the cloud's address. */
import { isTls13CipherSuite, openSslCipherSuite } from "./cipher-suites.ts";
import type { Finding, Trees } from "./finding.ts";
import { isLoopbackHost, networkEntryMatches, parseNetworkEntry } from "./networks.ts";
import { isPlaceholderPin } from "./sections/network-security.ts";

interface CloudAddress {
  readonly url: URL;
  readonly host: string;
  readonly port: number;
}

const cloudOf = ({ daemon }: Trees): CloudAddress | undefined => {
  const url = URL.parse(daemon.cloud_api.base_url ?? "");
  if (url === null) return undefined;
  const port = url.port === "" ? (url.protocol === "https:" ? 443 : 80) : Number(url.port);
  return { url, host: url.hostname.replace(/^\[(.*)\]$/, "$1"), port };
};

const matches = (entries: readonly string[], { host, port }: CloudAddress): boolean =>
  entries.some((text) => {
    const entry = parseNetworkEntry(text);
    return entry !== undefined && networkEntryMatches(entry, host, port);
  });

const JWKS_KEY = "security:/authentication/jwt/public_key_url";

/** An operator who names a cloud means to reach it, so its host is allowed, and its keys are where a cloud has them. */
export const withCloudHost = (trees: Trees): Trees => {
  const cloud = cloudOf(trees);
  if (cloud === undefined) return trees;
  const { security: rules } = trees.daemon;
  const allowed = matches(rules.allowed_networks, cloud)
    ? rules.allowed_networks
    : [...rules.allowed_networks, cloud.host];
  const { authentication } = trees.security;
  const follows = trees.isSet("/cloud_api/base_url") && !trees.isSet(JWKS_KEY);
  const keysUrl = follows ? new URL("/.well-known/jwks.json", cloud.url).href : authentication.jwt.public_key_url;
  return {
    ...trees,
    daemon: { ...trees.daemon, security: { ...rules, allowed_networks: allowed } },
    security: {
      ...trees.security,
      authentication: { ...authentication, jwt: { ...authentication.jwt, public_key_url: keysUrl } },
    },
  };
};

export function* networkChecks(trees: Trees): Generator<Finding> {
  yield* connectionChecks(trees);
  yield* addressChecks(trees);
  yield* tlsChecks(trees);
}

/** Settings of `cloud_api.connection` of which the first must not be longer than the second. */
const orderedPairs = [
  ["retry_delay", "max_retry_delay"],
  ["refused_retry_delay", "refused_retry_delay_max"],
  ["revoked_retry_delay", "revoked_retry_delay_max"],
  ["heartbeat_interval_min", "heartbeat_interval_max"],
] as const;

function* connectionChecks({ daemon }: Trees): Generator<Finding> {
  const { connection } = daemon.cloud_api;
  if (connection.dead_after <= connection.ping_interval)
    yield {
      severity: "problem",
      keys: ["/cloud_api/connection/dead_after", "/cloud_api/connection/ping_interval"],
      value: connection.dead_after,
      message: `is not longer than ping_interval (${connection.ping_interval} s): a healthy connection would count as dead`,
    };
  for (const [shorter, longer] of orderedPairs) {
    if (connection[shorter] > connection[longer])
      yield {
        severity: "problem",
        keys: [`/cloud_api/connection/${shorter}`, `/cloud_api/connection/${longer}`],
        value: connection[shorter],
        message: `is longer than ${longer} (${connection[longer]} s)`,
      };
  }
  if (!isLoopbackHost(daemon.local_api.http_host) && daemon.local_api.tls_certificate === undefined)
    yield {
      severity: "warning",
      keys: ["/local_api/http_host"],
      value: daemon.local_api.http_host,
      message:
        "opens the HTTP port to other machines without TLS: they get /health there, and no token of theirs is taken",
      suggestion: "set local_api.tls_certificate and local_api.tls_key",
    };
}

function* addressChecks(trees: Trees): Generator<Finding> {
  const cloud = cloudOf(trees);
  if (cloud === undefined) return;
  const { blocked_networks: blocked, certificate_validation: validation } = trees.daemon.security;
  const value = cloud.url.href;
  if (matches(blocked, cloud))
    yield {
      severity: "problem",
      keys: ["/cloud_api/base_url", "/security/blocked_networks"],
      value,
      message: "is blocked by security.blocked_networks, so the daemon could never connect",
    };
  if (!validation && !isLoopbackHost(cloud.host))
    yield {
      severity: "problem",
      keys: ["/security/certificate_validation", "/cloud_api/base_url"],
      value: false,
      message: `cannot be false for ${cloud.host}: only a loopback cloud may do without`,
      suggestion: "put the authority of its certificate into authentication.certificate.ca_cert of security.json",
    };
  const keysUrl = URL.parse(trees.security.authentication.jwt.public_key_url);
  if (keysUrl !== null && keysUrl.hostname !== cloud.url.hostname)
    yield {
      severity: "warning",
      keys: [JWKS_KEY, "/cloud_api/base_url"],
      value: keysUrl.href,
      message: `is on another host than cloud_api.base_url (${cloud.url.hostname}); tokens of that cloud may not verify`,
    };
}

const TLS = "security:/network_security/tls_config";

function* tlsChecks(trees: Trees): Generator<Finding> {
  const { tls_config: tls } = trees.security.network_security;
  const lowest = trees.daemon.security.tls_version === "1.3" ? "1.3" : tls.min_version;
  if (tls.min_version > tls.max_version)
    yield {
      severity: "problem",
      keys: [`${TLS}/min_version`, `${TLS}/max_version`],
      value: tls.min_version,
      message: `is above max_version (${tls.max_version})`,
    };
  else if (lowest > tls.max_version)
    yield {
      severity: "problem",
      keys: [`${TLS}/max_version`, "/security/tls_version"],
      value: tls.max_version,
      message: `is below security.tls_version of daemon.json (${trees.daemon.security.tls_version}): no version is left`,
    };
  const modern = tls.cipher_suites.map((name) => isTls13CipherSuite(openSslCipherSuite(name) ?? ""));
  if (lowest === "1.3" && !modern.includes(true))
    yield {
      severity: "problem",
      keys: [`${TLS}/cipher_suites`],
      message: "has no suite of TLS 1.3, the only version that is allowed",
    };
  if (tls.max_version === "1.2" && !modern.includes(false))
    yield {
      severity: "problem",
      keys: [`${TLS}/cipher_suites`],
      message: "has no suite of TLS 1.2, the only version that is allowed",
    };
  if (!tls.certificate_pinning) return;
  if (tls.pin_hashes.length === 0)
    yield {
      severity: "problem",
      keys: [`${TLS}/pin_hashes`, `${TLS}/certificate_pinning`],
      value: [],
      message: "is empty although certificate_pinning is on",
      suggestion: "add a pin, or set certificate_pinning to false",
    };
  else if (tls.pin_hashes.every(isPlaceholderPin) && cloudOf(trees)?.url.protocol === "https:")
    yield {
      severity: "warning",
      keys: [`${TLS}/pin_hashes`],
      message: "has only the placeholder pin, so TLS connections to the cloud are refused",
      suggestion: "set the pin of the cloud's key, or set certificate_pinning to false",
    };
}
