/** Checks of what lets callers in on this machine: TLS of the HTTP port, roles of certificates. */
import type { Finding, Trees } from "./finding.ts";

export function* accessChecks(trees: Trees): Generator<Finding> {
  yield* listenerChecks(trees);
  yield* certificateRoleChecks(trees);
}

const certificateKey = "/local_api/tls_certificate";
const clientCaKey = "/local_api/tls_client_ca";

function* listenerChecks({ daemon }: Trees): Generator<Finding> {
  const { tls_certificate: certificate, tls_key: key, tls_client_ca: clientCa } = daemon.local_api;
  if ((certificate === undefined) !== (key === undefined))
    yield {
      severity: "problem",
      keys: certificate === undefined ? ["/local_api/tls_key"] : [certificateKey],
      value: certificate ?? key,
      message: `needs local_api.${certificate === undefined ? "tls_certificate" : "tls_key"} beside it`,
    };
  else if (clientCa !== undefined && certificate === undefined)
    yield {
      severity: "problem",
      keys: [clientCaKey],
      value: clientCa,
      message: "needs local_api.tls_certificate and local_api.tls_key: client certificates are shown over TLS only",
    };
  if (daemon.local_api.tls_client_required && clientCa === undefined)
    yield {
      severity: "problem",
      keys: ["/local_api/tls_client_required"],
      value: true,
      message: "needs local_api.tls_client_ca, the authorities that client certificates are checked with",
    };
}

function* certificateRoleChecks({ daemon, security }: Trees): Generator<Finding> {
  const { certificate_roles: roles, permissions } = security.authorization;
  const rolesKey = "security:/authorization/certificate_roles";
  for (const [name, role] of Object.entries(roles)) {
    if (role !== "admin" && !Object.hasOwn(permissions, role))
      yield {
        severity: "problem",
        keys: [rolesKey, "security:/authorization/permissions"],
        value: role,
        message: `is the role of ${JSON.stringify(name)} and not in authorization.permissions`,
        allowed: Object.keys(permissions).join(", "),
      };
  }
  const isUsed = daemon.local_api.tls_client_ca !== undefined;
  if (isUsed && Object.keys(roles).length === 0 && security.authentication.methods.includes("certificate"))
    yield {
      severity: "warning",
      keys: [rolesKey],
      value: {},
      message: "names no client certificate, so none of local_api.tls_client_ca opens anything without a token",
      suggestion: 'give each common name a role, or "*" for all of them',
    };
}
