import { createHash, X509Certificate } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { checkServerIdentity, type PeerCertificate } from "node:tls";
import type { TlsPolicy } from "@hl/config/tls-policy.ts";

/** Where the files of TLS are; one that does not exist is not used. */
export interface TlsFiles {
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

/** In the words of node:tls. */
export interface TlsOptions {
  readonly minVersion: TlsPolicy["minVersion"];
  readonly maxVersion: TlsPolicy["maxVersion"];
  readonly ciphers: string;
  readonly rejectUnauthorized: boolean;
  readonly ca?: Buffer;
  readonly cert?: Buffer;
  readonly key?: Buffer;
  readonly checkServerIdentity: (host: string, certificate: PeerCertificate) => Error | undefined;
}

/** Options for node:tls, the same for requests and for the command channel. */
export interface CloudTls {
  readonly options: TlsOptions;
  /** A client certificate is shown. */
  readonly hasCertificate: boolean;
}

/**
 * Everything that security.json says about TLS, enforced on each connection. Asked anew for each, because certificates are replaced
 * while the daemon runs. Throws where a file cannot be read.
 */
export function cloudTls(policy: TlsPolicy, files: TlsFiles): CloudTls {
  const ca = contentOf(files.ca);
  const cert = contentOf(files.cert);
  const key = contentOf(files.key);
  const hasCertificate = cert !== undefined && key !== undefined;
  return {
    hasCertificate,
    options: {
      minVersion: policy.minVersion,
      maxVersion: policy.maxVersion,
      ciphers: policy.ciphers,
      rejectUnauthorized: policy.rejectUnauthorized,
      ...(ca === undefined ? {} : { ca }),
      ...(hasCertificate ? { cert, key } : {}),
      checkServerIdentity: (host, certificate) => identityProblem(policy, host, certificate),
    },
  };
}

/**
 * Called for every certificate that an authority vouches for. Only the server's own key is compared: what else it sends
 * may be anything. The message says the key that is there, so that a rotation can be put into `pin_hashes`.
 */
export function identityProblem(
  { verifyHostname, pins }: Pick<TlsPolicy, "verifyHostname" | "pins">,
  host: string,
  certificate: PeerCertificate,
): Error | undefined {
  const problem = verifyHostname ? checkServerIdentity(host, certificate) : undefined;
  if (problem !== undefined || pins === undefined) return problem;
  const pin = pinOf(certificate.raw);
  if (pins.includes(pin)) return undefined;
  return new Error(`the key of ${host} is not pinned: it is ${pin}, and pin_hashes of security.json does not have it`);
}

/**
 * X2: what is configured for the connection and cannot hold is no connection.
 * @param missing the files of a client certificate that is demanded and not there
 */
export function refusalOf(
  baseUrl: string,
  { pins, rejectUnauthorized }: Pick<TlsPolicy, "pins" | "rejectUnauthorized">,
  missing?: Pick<TlsFiles, "cert" | "key">,
): string | undefined {
  const isTls = baseUrl.startsWith("https:");
  if (missing !== undefined) {
    const wanted = "cloud_api.auth.method in daemon.json is certificate";
    if (!isTls) return `${wanted}, and ${baseUrl} has no TLS to show one in`;
    return `${wanted}: put the certificate into ${missing.cert} and its key into ${missing.key}`;
  }
  if (!isTls || pins === undefined) return undefined;
  const pinned = "network_security.tls_config.certificate_pinning in security.json is on";
  if (pins.length === 0)
    return `${pinned}, and pin_hashes holds no pin but the placeholder: give the real ones, or turn it off`;
  if (!rejectUnauthorized)
    return `${pinned}, and security.certificate_validation in daemon.json is false: pins are checked on validated certificates only`;
  return undefined;
}

function pinOf(der: Buffer): string {
  const spki = new X509Certificate(der).publicKey.export({ type: "spki", format: "der" });
  return `sha256:${createHash("sha256").update(spki).digest("base64")}`;
}

function contentOf(path: string): Buffer | undefined {
  return existsSync(path) ? readFileSync(path) : undefined;
}
