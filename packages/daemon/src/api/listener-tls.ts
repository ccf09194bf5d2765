import { createPrivateKey, X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import type { ServerOptions } from "node:https";
import { isIP } from "node:net";

export interface ListenerTlsFiles {
  /** The certificate and what leads from it to its authority (PEM). */
  readonly certificate: string;
  readonly key: string;
  /** Authorities of clients; without one no client is asked for a certificate. */
  readonly clientCa?: string | undefined;
  /** Who shows no valid certificate is not even connected. */
  readonly clientRequired: boolean;
}

export interface ListenerTlsPolicy {
  readonly minVersion: "TLSv1.2" | "TLSv1.3";
  readonly maxVersion: "TLSv1.2" | "TLSv1.3";
  readonly ciphers: string;
}

/** What makes the HTTP port HTTPS. */
export interface ListenerTls {
  readonly options: ServerOptions;
  /** Whether the certificate is for that host, so that a page under another name cannot have got here. */
  readonly names: (host: string) => boolean;
}

/** A connection that has not finished its handshake by then is cut. */
const handshakeMsMax = 10_000;

/** Reads and checks the files. Throws where one is missing or they do not belong together: better no port than another one than configured. */
export function listenerTls(files: ListenerTlsFiles, policy: ListenerTlsPolicy): ListenerTls {
  const cert = contentOf("tls_certificate", files.certificate);
  const key = contentOf("tls_key", files.key);
  const ca = files.clientCa === undefined ? undefined : contentOf("tls_client_ca", files.clientCa);
  const certificate = parsed("tls_certificate", files.certificate, () => new X509Certificate(cert));
  const privateKey = parsed("tls_key", files.key, () => createPrivateKey(key));
  if (ca !== undefined) parsed("tls_client_ca", files.clientCa ?? "", () => new X509Certificate(ca));
  if (!certificate.checkPrivateKey(privateKey))
    throw new Error(
      `local_api.tls_key (${files.key}) is not the key of local_api.tls_certificate (${files.certificate})`,
    );
  return {
    options: {
      ...policy,
      ...{ cert, key, handshakeTimeout: handshakeMsMax },
      ...(ca === undefined ? {} : { ca, requestCert: true, rejectUnauthorized: files.clientRequired }),
    },
    names: (host) =>
      (isIP(host) === 0 ? certificate.checkHost(host, { subject: "never" }) : certificate.checkIP(host)) !== undefined,
  };
}

function contentOf(key: string, path: string): Buffer {
  return parsed(key, path, () => readFileSync(path));
}

function parsed<T>(key: string, path: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw new Error(`local_api.${key} (${path}) cannot be used: ${(error as Error).message}`, { cause: error });
  }
}
