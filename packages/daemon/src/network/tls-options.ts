import type { PeerCertificate, SecureContext } from "node:tls";

/** What holds for a TLS connection of the daemon. Nothing is left to Node's defaults, which variables of the environment change. */
export interface TlsOptions {
  /** Versions, suites, the authorities that are trusted and no others, and the client certificate. */
  readonly context: SecureContext;
  readonly rejectUnauthorized: boolean;
  /** Asked for every certificate that an authority vouches for. */
  readonly checkServerIdentity: (host: string, certificate: PeerCertificate) => Error | undefined;
}
