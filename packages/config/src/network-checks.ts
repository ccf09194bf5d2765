/** Checks of the cloud's address and of networks, and the defaults that follow the cloud's address. */
import { cloudOf, listed } from "./cloud-address.ts";
import type { Finding, Trees } from "./finding.ts";
import { isIP } from "node:net";
import { isLoopbackHost, parseNetworkEntry } from "./networks.ts";

const JWKS_KEY = "security:/authentication/jwt/public_key_url";

/** An operator who names a cloud means to reach it, so its host is allowed, and its keys are where a cloud has them. */
export const withCloudHost = (trees: Trees): Trees => {
  const cloud = cloudOf(trees);
  if (cloud === undefined) return trees;
  const { security: rules } = trees.daemon;
  const allowed = listed(rules.allowed_networks, cloud)
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
  yield* firewallChecks(trees);
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
  if (listed(blocked, cloud))
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
  if (!trees.daemon.event_streaming.encryption && !isLoopbackHost(cloud.host))
    yield {
      severity: "problem",
      keys: ["/event_streaming/encryption", "/cloud_api/base_url"],
      value: false,
      message: `cannot be false for ${cloud.host}: events leave this machine over TLS alone`,
      suggestion: "take the key out, or set it to true",
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

/** What keeps the cloud from being reached is told before anybody waits for it. */
function* firewallChecks(trees: Trees): Generator<Finding> {
  const { firewall_rules: rules } = trees.security.network_security;
  const cloud = cloudOf(trees);
  const keys = ["security:/network_security/firewall_rules"];
  const uses = cloud?.url.protocol === "https:" ? ["any", "tcp", "https", "wss"] : ["any", "tcp", "http", "ws"];
  const denied = rules.find(
    ({ direction, protocol, destination, action }) =>
      direction === "outbound" &&
      action === "deny" &&
      uses.includes(protocol) &&
      cloud !== undefined &&
      (destination === "any" || listed([destination], cloud)),
  );
  if (denied !== undefined && cloud !== undefined)
    yield {
      severity: "problem",
      keys: [...keys, "/cloud_api/base_url"],
      value: denied,
      message: `denies ${cloud.host}, the host of cloud_api.base_url: a deny wins over every allow, so the daemon could never connect`,
      suggestion: "take the rule out; what no list and no rule allows is refused anyway",
    };
  yield* inboundChecks(trees, keys);
}

/** The daemon is no packet filter: its HTTP port is what inbound rules are about, and a rule that could not be kept there is none. */
function* inboundChecks({ daemon, security }: Trees, keys: readonly string[]): Generator<Finding> {
  const { http_port: ownPort, http_enabled: listens } = daemon.local_api;
  for (const rule of security.network_security.firewall_rules.filter(({ direction }) => direction === "inbound")) {
    const { protocol, destination, action } = rule;
    const told = (severity: Finding["severity"], why: string, suggestion: string): Finding => ({
      ...{ severity, keys, value: rule, suggestion },
      message: `has the inbound rule "${action} ${protocol} ${destination}", ${why}`,
    });
    const entry = destination === "any" ? undefined : parseNetworkEntry(destination);
    const isOfPort = entry?.port === undefined || entry.port === ownPort || ownPort === 0;
    if (entry !== undefined && (isIP(entry.host) === 0 || entry.host.includes("%"))) {
      const why = "but who connects is known by his address alone";
      yield told("problem", why, 'write an address without a zone, a CIDR range or "any"');
    } else if (protocol === "ws" || protocol === "wss") {
      const why = "but a connection is judged before it has said whether it becomes a WebSocket";
      yield told("problem", why, 'write "http"');
    } else if (!listens || !isOfPort || ["udp", "ssh", "dns"].includes(protocol)) {
      const why =
        "which is about what the daemon does not listen on: of inbound connections it judges those to its HTTP port";
      yield told("warning", why, "use the firewall of the machine for the rest");
    }
  }
}
