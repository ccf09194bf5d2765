/** What daemon.json and security.json together say about TLS: the stricter of the two, in the words of node:tls. */
import { isTls13CipherSuite, openSslCipherSuite } from "./cipher-suites.ts";
import type { Config } from "./load.ts";
import { isPlaceholderPin } from "./sections/network-security.ts";

export interface TlsPolicy {
  readonly minVersion: "TLSv1.2" | "TLSv1.3";
  readonly maxVersion: "TLSv1.2" | "TLSv1.3";
  /** OpenSSL's names, for the option `ciphers`. */
  readonly ciphers: string;
  /** False only for a loopback cloud: loading refuses it elsewhere. */
  readonly rejectUnauthorized: boolean;
  readonly verifyHostname: boolean;
  /** "sha256:…" of accepted keys; an empty list accepts none. Undefined: no pinning. */
  readonly pins: readonly string[] | undefined;
  /** A key that is not among them is told, and the connection is made. */
  readonly pinReportOnly?: boolean | undefined;
}

/** With a client certificate, suites of TLS 1.2 must also be among `authentication.certificate.cipher_suites`. */
export const tlsPolicy = (config: Pick<Config, "daemon" | "security">, clientCertificate = false): TlsPolicy => {
  const { tls_config: tls } = config.security.network_security;
  const { certificate } = config.security.authentication;
  const offered = openSslNames(tls.cipher_suites);
  const withCertificate = new Set(openSslNames(certificate.cipher_suites));
  const ciphers = offered.filter((name) => !clientCertificate || isTls13CipherSuite(name) || withCertificate.has(name));
  return {
    minVersion: config.daemon.security.tls_version === "1.3" || tls.min_version === "1.3" ? "TLSv1.3" : "TLSv1.2",
    maxVersion: `TLSv${tls.max_version}`,
    ciphers: ciphers.join(":"),
    rejectUnauthorized: config.daemon.security.certificate_validation,
    verifyHostname: certificate.verify_hostname,
    pins: tls.certificate_pinning ? tls.pin_hashes.filter((pin) => !isPlaceholderPin(pin)) : undefined,
    pinReportOnly: tls.pin_report_only,
  };
};

const openSslNames = (names: readonly string[]): string[] => [
  ...new Set(names.flatMap((name) => openSslCipherSuite(name) ?? [])),
];
