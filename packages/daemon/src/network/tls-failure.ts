/** What is wrong and what to do, by the code of Node or OpenSSL. docs/tls.md is this table with the tests that show each row. */
export interface TlsFailure {
  /** Codes of the error, without the text of OpenSSL. */
  readonly codes: readonly string[];
  /** Goes on from "TLS with HOST:PORT failed: ". */
  readonly wrong: string;
  readonly todo: string;
}

const caKey = "authentication.certificate.ca_cert of security.json";
const authority = `put the certificate of its authority into the file of ${caKey}, or into the system's store where that file does not exist`;
const ownCertificate = "cloud_api.auth.cert_file and key_file of daemon.json";

export const tlsFailures: Readonly<Record<string, TlsFailure>> = {
  otherName: {
    codes: ["ERR_TLS_CERT_ALTNAME_INVALID"],
    wrong: "its certificate is for another name",
    todo: "ask for it by a name that is in the certificate, or have one issued for this name",
  },
  expired: {
    codes: ["CERT_HAS_EXPIRED"],
    wrong: "its certificate, or that of an authority above it, has expired",
    todo: "have it renewed; if it is not that old, set the clock of this machine",
  },
  notYetValid: {
    codes: ["CERT_NOT_YET_VALID"],
    wrong: "its certificate, or that of an authority above it, is not valid yet",
    todo: "set the clock of this machine, or wait until the certificate is valid",
  },
  selfSigned: {
    codes: ["DEPTH_ZERO_SELF_SIGNED_CERT"],
    wrong: "its certificate is signed by itself and by no authority that is trusted",
    todo: `have one issued by an authority, or ${authority}`,
  },
  unknownAuthority: {
    codes: ["SELF_SIGNED_CERT_IN_CHAIN"],
    wrong: "its certificate comes from an authority that is not trusted",
    todo: authority,
  },
  incompleteChain: {
    codes: ["UNABLE_TO_VERIFY_LEAF_SIGNATURE", "UNABLE_TO_GET_ISSUER_CERT_LOCALLY", "UNABLE_TO_GET_ISSUER_CERT"],
    wrong: "no trusted authority has issued its certificate, or the server does not send the intermediate one",
    todo: `have the server send its whole chain; else ${authority}`,
  },
  forged: {
    codes: ["CERT_SIGNATURE_FAILURE"],
    wrong: "its certificate names a trusted authority that has not signed it",
    todo: `somebody may be in between; or the authority has a new key: ${authority}`,
  },
  purpose: {
    codes: ["INVALID_PURPOSE", "INVALID_CA", "PATH_LENGTH_EXCEEDED"],
    wrong: "its certificate, or one above it, is not made for this use",
    todo: "have one issued for TLS servers",
  },
  weakKey: {
    codes: ["EE_KEY_TOO_SMALL", "CA_KEY_TOO_SMALL", "CA_MD_TOO_WEAK", "ERR_SSL_EE_KEY_TOO_SMALL"],
    wrong: "its certificate has a key or a signature that is too weak",
    todo: "have one issued with RSA of 2048 bits or more, or P-256, and SHA-256",
  },
  oldProtocol: {
    codes: [
      "ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION",
      "ERR_SSL_UNSUPPORTED_PROTOCOL",
      "ERR_SSL_NO_PROTOCOLS_AVAILABLE",
      "ERR_SSL_VERSION_TOO_LOW",
    ],
    wrong: "it speaks no version of TLS that is allowed",
    todo: "have it speak TLS 1.3; or lower security.tls_version of daemon.json and network_security.tls_config.min_version of security.json, both, to 1.2",
  },
  noCommonSuite: {
    codes: [
      "ERR_SSL_SSLV3_ALERT_HANDSHAKE_FAILURE",
      "ERR_SSL_SSL/TLS_ALERT_HANDSHAKE_FAILURE",
      "ERR_SSL_NO_SHARED_CIPHER",
    ],
    wrong: "it takes none of the cipher suites that are offered",
    todo: "compare its suites with network_security.tls_config.cipher_suites of security.json",
  },
  notTls: {
    codes: ["ERR_SSL_WRONG_VERSION_NUMBER", "ERR_SSL_PACKET_LENGTH_TOO_LONG", "ERR_SSL_HTTP_REQUEST"],
    wrong: "it does not speak TLS on this port",
    todo: "look at the port in its address; something else, such as a login page of the network, may have answered",
  },
  certificateWanted: {
    codes: ["ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED"],
    wrong: "it demands a client certificate",
    todo: `put one and its key into the files of ${ownCertificate}`,
  },
  certificateRefused: {
    codes: [
      "ERR_SSL_TLSV1_ALERT_UNKNOWN_CA",
      "ERR_SSL_SSLV3_ALERT_BAD_CERTIFICATE",
      "ERR_SSL_SSL/TLS_ALERT_BAD_CERTIFICATE",
      "ERR_SSL_SSLV3_ALERT_CERTIFICATE_EXPIRED",
      "ERR_SSL_SSL/TLS_ALERT_CERTIFICATE_EXPIRED",
      "ERR_SSL_SSLV3_ALERT_CERTIFICATE_REVOKED",
      "ERR_SSL_SSL/TLS_ALERT_CERTIFICATE_REVOKED",
      "ERR_SSL_SSLV3_ALERT_CERTIFICATE_UNKNOWN",
      "ERR_SSL_SSL/TLS_ALERT_CERTIFICATE_UNKNOWN",
      "ERR_SSL_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE",
      "ERR_SSL_TLSV1_ALERT_ACCESS_DENIED",
      "ERR_SSL_TLSV1_ALERT_DECRYPT_ERROR",
    ],
    wrong: "it does not accept the certificate of this daemon",
    todo: `have it issued by an authority that the server trusts, and put it with its key into the files of ${ownCertificate}`,
  },
  brokenOff: {
    codes: ["ECONNRESET", "EPIPE"],
    wrong: "it ended the connection during the TLS handshake",
    todo: "look at the server's log; a firewall that does not like the name may have done it",
  },
};

const byCode = new Map(
  Object.values(tlsFailures).flatMap((failure) => failure.codes.map((code) => [code, failure] as const)),
);

/** One line for who reads the log: what is wrong, what to do, and the code to search for. An own reason, such as a pin's, is said as it is. */
export function tlsFailureText(error: unknown, where: string): string {
  const said = error instanceof Error ? error.message : String(error);
  const code = codeOf(error);
  const failure = code === undefined ? undefined : byCode.get(code);
  if (failure === undefined) return `TLS with ${where} failed: ${firstLine(said)}`;
  const reason = failure === tlsFailures["otherName"] ? ` (${firstLine(said)})` : ` (${code})`;
  return `TLS with ${where} failed: ${failure.wrong}${reason}: ${failure.todo}`;
}

/**
 * The same for an error that came after the handshake: with TLS 1.3 a server judges the client's certificate when the client is done
 * already. Undefined for an error that is not about that.
 */
export function lateTlsFailureText(error: unknown, where: string): string | undefined {
  const code = codeOf(error);
  const failure = code === undefined ? undefined : byCode.get(code);
  const isAboutUs = failure === tlsFailures["certificateWanted"] || failure === tlsFailures["certificateRefused"];
  return isAboutUs ? tlsFailureText(error, where) : undefined;
}

function codeOf(error: unknown): string | undefined {
  const code = error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined;
  return typeof code === "string" ? code : undefined;
}

/** OpenSSL's texts end with a line break and are full of numbers before it. */
const firstLine = (text: string): string => text.split("\n", 1)[0] ?? "";
