/** Checks of TLS: versions, suites, pins, and where the client certificate lies. */
import { isTls13CipherSuite, openSslCipherSuite } from "./cipher-suites.ts";
import { cloudOf } from "./cloud-address.ts";
import type { Finding, Trees } from "./finding.ts";
import { isPlaceholderPin } from "./sections/network-security.ts";

const CERTIFICATE_PAIRS = [
  ["cert_file", "client_cert"],
  ["key_file", "client_key"],
] as const;

/** The client certificate has a place in either file; where only security.json names one, that counts. */
export const withClientCertificate = (trees: Trees): Trees => {
  const { auth } = trees.daemon.cloud_api;
  const { certificate } = trees.security.authentication;
  const pathOf = (own: "cert_file" | "key_file", other: "client_cert" | "client_key"): string =>
    trees.isSet(`/cloud_api/auth/${own}`) || !trees.isSet(`security:/authentication/certificate/${other}`)
      ? auth[own]
      : certificate[other];
  const followed = { cert_file: pathOf("cert_file", "client_cert"), key_file: pathOf("key_file", "client_key") };
  const cloud_api = { ...trees.daemon.cloud_api, auth: { ...auth, ...followed } };
  return { ...trees, daemon: { ...trees.daemon, cloud_api } };
};

export function* tlsChecks(trees: Trees): Generator<Finding> {
  yield* versionChecks(trees);
  yield* certificateChecks(trees);
  yield* pinChecks(trees);
}

const TLS = "security:/network_security/tls_config";

function* versionChecks(trees: Trees): Generator<Finding> {
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
}

function* certificateChecks(trees: Trees): Generator<Finding> {
  const { daemon, security } = trees;
  const { certificate } = security.authentication;
  for (const [own, other] of CERTIFICATE_PAIRS) {
    const keys = [`/cloud_api/auth/${own}`, `security:/authentication/certificate/${other}`];
    if (keys.every((key) => trees.isSet(key)) && daemon.cloud_api.auth[own] !== certificate[other])
      yield {
        severity: "problem",
        keys,
        value: daemon.cloud_api.auth[own],
        message: `is another file than authentication.certificate.${other} of security.json (${certificate[other]}): which one is shown to the cloud is not clear`,
        suggestion: "set one of the two, or both to the same file",
      };
  }
}

function* pinChecks(trees: Trees): Generator<Finding> {
  const { tls_config: tls } = trees.security.network_security;
  const isTls = cloudOf(trees)?.url.protocol === "https:";
  const real = new Set(tls.pin_hashes.filter((text) => !isPlaceholderPin(text)));
  const isPinned = tls.certificate_pinning && !tls.pin_report_only && real.size > 0;
  if (isTls && !isPinned && !trees.security.authentication.certificate.verify_hostname)
    yield {
      severity: "warning",
      keys: ["security:/authentication/certificate/verify_hostname"],
      value: false,
      message: "lets every server with a certificate of a trusted authority pass for the cloud",
      suggestion: "set it to true, or pin the key of the cloud",
    };
  if (!tls.certificate_pinning) return;
  if (isTls && isPinned && real.size === 1)
    yield {
      severity: "warning",
      keys: [`${TLS}/pin_hashes`],
      message: "has one pin: when the server gets another key, this daemon cannot connect any more",
      suggestion: "add the pin of the key that follows it, before it is used",
    };
  if (tls.pin_hashes.length === 0)
    yield {
      severity: "problem",
      keys: [`${TLS}/pin_hashes`, `${TLS}/certificate_pinning`],
      value: [],
      message: "is empty although certificate_pinning is on",
      suggestion: "add a pin, or set certificate_pinning to false",
    };
  else if (real.size === 0 && isTls && !tls.pin_report_only)
    yield {
      severity: "warning",
      keys: [`${TLS}/pin_hashes`],
      message: "has only the placeholder pin, so TLS connections to the cloud are refused",
      suggestion: "set the pin of the cloud's key, or set certificate_pinning to false",
    };
}
