/** Who may do what. */
import {
  type Enforced,
  type Pair,
  unit,
  whole,
  restart,
  crossChecks,
  bothFiles,
  mutual,
  clients,
  callers,
  jwt,
  certificatePlace,
} from "./proofs.ts";

const issued: Pair = ["auth/jwt-authenticator", "a token of the issuer: its subject, its role, and for how long"];
const ages: Pair = [
  "auth/jwt-authenticator",
  "the clocks may differ by the configured skew, and the life may be exactly",
];
const hidden: Pair = [restart, "redaction.values and patterns: what is named is in no event"];

export const accessRows: Readonly<Record<string, Enforced>> = {
  "security.json:/authentication/methods": whole("compose/authentication.ts", [
    callers,
    "X2: with `methods` that do not name jwt, and without keys",
  ]),
  "security.json:/authentication/jwt/algorithm": unit("auth/public-keys.ts", [
    "auth/public-keys",
    "X3: keys that are private, shared, for encryption or another algorithm open nothing",
  ]),
  "security.json:/authentication/jwt/issuer": unit("auth/jwt-authenticator.ts", issued),
  "security.json:/authentication/jwt/audience": unit("auth/jwt-authenticator.ts", issued),
  "security.json:/authentication/jwt/expiry": unit("auth/jwt-authenticator.ts", ages),
  "security.json:/authentication/jwt/refresh_threshold": unit("cloud/identity.ts", [
    "cloud/identity",
    "it is renewed the threshold before its expiry",
  ]),
  "security.json:/authentication/jwt/clock_skew": unit("auth/jwt-authenticator.ts", ages),
  "security.json:/authentication/jwt/public_key_url": whole("auth/fetch-public-keys.ts", jwt),
  "security.json:/authentication/jwt/public_key_outage": unit("auth/public-keys.ts", [
    "auth/public-keys",
    "X2: an outage is bridged by the keys of before, up to the limit",
  ]),
  "security.json:/authentication/certificate/ca_cert": whole("compose/outbound.ts", mutual),
  "security.json:/authentication/certificate/client_cert": whole("packages/config/src/tls-checks.ts", certificatePlace),
  "security.json:/authentication/certificate/client_key": whole("packages/config/src/tls-checks.ts", certificatePlace),
  "security.json:/authentication/certificate/verify_hostname": whole("packages/config/src/tls-policy.ts", [
    crossChecks,
    "what is switched off is off in the policy",
  ]),
  "security.json:/authentication/certificate/cipher_suites": whole("packages/config/src/tls-policy.ts", bothFiles),
  "security.json:/authorization/rbac_enabled": unit("api/session.ts", [
    "compose/permissions",
    "X3: rbac ${checksRoles",
  ]),
  "security.json:/authorization/default_role": whole("compose/compose.ts", [
    callers,
    "X3: `authorization` of a cloud's message decides, checked by the daemon",
  ]),
  "security.json:/authorization/permissions": whole("api/session.ts", jwt),
  "security.json:/authorization/certificate_roles": whole("api/certificate-callers.ts", clients),
  "security.json:/network_security/firewall_rules": unit(
    "network/daemon-networks.ts",
    [
      "network/daemon-networks",
      "firewall rules: an allow is as good as an entry for its protocol, a deny wins over all",
    ],
    ["tests/system/inbound-rules", "X1: inbound rules decide who may connect to the HTTP port"],
  ),
  "security.json:/network_security/tls_config/min_version": whole("packages/config/src/tls-policy.ts", bothFiles),
  "security.json:/network_security/tls_config/max_version": whole("packages/config/src/tls-policy.ts", [
    crossChecks,
    "what is switched off is off in the policy",
  ]),
  "security.json:/network_security/tls_config/cipher_suites": whole("packages/config/src/tls-policy.ts", bothFiles),
  "security.json:/network_security/tls_config/certificate_pinning": whole(
    "packages/config/src/tls-policy.ts",
    bothFiles,
  ),
  "security.json:/network_security/tls_config/pin_hashes": whole("cloud/tls.ts", mutual),
  "security.json:/network_security/tls_config/pin_report_only": whole(
    "network/unpinned-keys.ts",
    [crossChecks, "one pin is warned about, two are not, and report-only has nothing to warn about"],
    ["cloud/tls-failures", "a key that is not pinned, with pin_report_only"],
  ),
  "security.json:/input_validation/max_request_size": whole("compose/compose.ts", [
    restart,
    "input_validation.max_request_size: a request over it is refused, one below is not",
  ]),
  "security.json:/input_validation/sanitization_rules": whole("packages/config/src/security-checks.ts", [
    crossChecks,
    "X2: rules of sanitization that say less, or more, than is checked are warned about",
  ]),
  "security.json:/redaction/values": whole("compose/secrets.ts", hidden),
  "security.json:/redaction/patterns": whole("compose/secrets.ts", hidden),
};
