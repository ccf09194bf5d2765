/** Names of cipher suites: IANA's and OpenSSL's, of which Node wants the second. */
import { getCiphers } from "node:tls";
import * as z from "zod";

/** IANA name of each suite that is worth allowing, with OpenSSL's name. TLS 1.3 suites have one name in both. */
const OPENSSL_OF_IANA: Readonly<Record<string, string>> = {
  TLS_AES_256_GCM_SHA384: "TLS_AES_256_GCM_SHA384",
  TLS_AES_128_GCM_SHA256: "TLS_AES_128_GCM_SHA256",
  TLS_CHACHA20_POLY1305_SHA256: "TLS_CHACHA20_POLY1305_SHA256",
  TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384: "ECDHE-ECDSA-AES256-GCM-SHA384",
  TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256: "ECDHE-ECDSA-AES128-GCM-SHA256",
  TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256: "ECDHE-ECDSA-CHACHA20-POLY1305",
  TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384: "ECDHE-RSA-AES256-GCM-SHA384",
  TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256: "ECDHE-RSA-AES128-GCM-SHA256",
  TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256: "ECDHE-RSA-CHACHA20-POLY1305",
  TLS_DHE_RSA_WITH_AES_256_GCM_SHA384: "DHE-RSA-AES256-GCM-SHA384",
  TLS_DHE_RSA_WITH_AES_128_GCM_SHA256: "DHE-RSA-AES128-GCM-SHA256",
  TLS_DHE_RSA_WITH_CHACHA20_POLY1305_SHA256: "DHE-RSA-CHACHA20-POLY1305",
};

/** The suites with certificates, forward secrecy and authenticated encryption, by both names. */
export const KNOWN_CIPHER_SUITES: readonly string[] = [
  ...new Set(Object.entries(OPENSSL_OF_IANA).flatMap(([iana, openSsl]) => [iana, openSsl])),
];

const built = new Set(getCiphers().map((name) => name.toUpperCase()));

/** OpenSSL's name; undefined where the suite is unknown, too weak, or missing from this Node. */
export const openSslCipherSuite = (name: string): string | undefined => {
  const upper = name.toUpperCase();
  const openSsl = KNOWN_CIPHER_SUITES.includes(upper) ? (OPENSSL_OF_IANA[upper] ?? upper) : undefined;
  return openSsl !== undefined && built.has(openSsl) ? openSsl : undefined;
};

/** True for the three suites that only TLS 1.3 has. */
export const isTls13CipherSuite = (openSslName: string): boolean => openSslName.startsWith("TLS_");

export const cipherSuite = z
  .string()
  .superRefine((name, context) => {
    if (openSslCipherSuite(name) !== undefined) return;
    const weak = built.has(name.toUpperCase());
    const message = weak
      ? "is a cipher suite without forward secrecy, certificates or authenticated encryption, and is not offered"
      : "is not a known cipher suite (IANA or OpenSSL name)";
    context.addIssue({ code: "custom", message, params: { candidates: KNOWN_CIPHER_SUITES } });
  })
  .meta({ description: "IANA or OpenSSL name of a cipher suite" });
