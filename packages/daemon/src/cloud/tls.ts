import { createHash, X509Certificate } from "node:crypto";
import { existsSync } from "node:fs";
import { checkServerIdentity, type PeerCertificate } from "node:tls";
import type { TlsPolicy } from "@hl/config/tls-policy.ts";
import { systemAuthorities, type TlsContexts } from "../network/tls-context.ts";
import type { TlsOptions } from "../network/tls-options.ts";

/** Where the files of TLS are; one that does not exist is not used. */
export interface TlsFiles {
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

export interface CloudTlsOptions {
  readonly contexts: TlsContexts;
  /** Where the machine keeps the authorities that it trusts. */
  readonly systemStores?: readonly string[] | undefined;
  /** Hears of a key that is not pinned, where that is only reported. */
  readonly onUnpinned?: ((problem: string) => void) | undefined;
}

/** Options for node:tls, the same for requests and for the command channel. */
export interface CloudTls {
  readonly options: TlsOptions;
  /** A client certificate is shown. */
  readonly hasCertificate: boolean;
}

/** How much of a client certificate is there. Half of one is as good as a mistake: without it we would be somebody else to the cloud. */
export function certificateState({ cert, key }: Pick<TlsFiles, "cert" | "key">): "none" | "half" | "whole" {
  const [hasCert, hasKey] = [existsSync(cert), existsSync(key)];
  if (hasCert !== hasKey) return "half";
  return hasCert ? "whole" : "none";
}

/**
 * Everything that security.json says about TLS, enforced on each connection. Asked anew for each, because certificates are replaced
 * while the daemon runs. Throws where a file cannot be read, or is not what it has to be.
 */
export function cloudTls(policy: TlsPolicy, files: TlsFiles, own: CloudTlsOptions): CloudTls {
  const { minVersion, maxVersion, ciphers, rejectUnauthorized } = policy;
  const hasCertificate = certificateState(files) === "whole";
  const trusted = existsSync(files.ca) ? { file: files.ca } : systemAuthorities(own.systemStores);
  const client = hasCertificate ? files : undefined;
  return {
    hasCertificate,
    options: {
      context: own.contexts.of({ minVersion, maxVersion, ciphers, ca: [trusted], own: client }),
      rejectUnauthorized,
      checkServerIdentity: (host, certificate) => identityProblem(policy, host, certificate, own.onUnpinned),
    },
  };
}

/**
 * Called for every certificate that an authority vouches for. Only the server's own key is compared: what else it sends
 * may be anything. The message says the key that is there, so that a rotation can be put into `pin_hashes`.
 */
export function identityProblem(
  { verifyHostname, pins, pinReportOnly }: Pick<TlsPolicy, "verifyHostname" | "pins" | "pinReportOnly">,
  host: string,
  certificate: PeerCertificate,
  onUnpinned?: (problem: string) => void,
): Error | undefined {
  const problem = verifyHostname ? checkServerIdentity(host, certificate) : undefined;
  if (problem !== undefined || pins === undefined) return problem;
  const pin = pinOf(certificate.raw);
  if (pins.includes(pin)) return undefined;
  const text = `the key of ${host} is not pinned: it is ${pin}, and pin_hashes of security.json does not have it`;
  if (pinReportOnly !== true) return new Error(`${text}. Add it there if who runs the server says that it is theirs`);
  onUnpinned?.(text);
  return undefined;
}

/**
 * X2: what is configured for the connection and cannot hold is no connection.
 * @param missing the files of a client certificate that is demanded and not there
 * @param half the files of a client certificate of which only one is there
 */
export function refusalOf(
  baseUrl: string,
  { pins, pinReportOnly, rejectUnauthorized }: Pick<TlsPolicy, "pins" | "pinReportOnly" | "rejectUnauthorized">,
  missing?: Pick<TlsFiles, "cert" | "key">,
  half?: Pick<TlsFiles, "cert" | "key">,
): string | undefined {
  const isTls = baseUrl.startsWith("https:");
  if (missing !== undefined) {
    const wanted = "cloud_api.auth.method in daemon.json is certificate";
    if (!isTls) return `${wanted}, and ${baseUrl} has no TLS to show one in`;
    return `${wanted}: put the certificate into ${missing.cert} and its key into ${missing.key}`;
  }
  if (isTls && half !== undefined)
    return `of a client certificate and its key only one is there: put ${half.cert} and ${half.key} both there, or neither`;
  if (!isTls || pins === undefined || pinReportOnly === true) return undefined;
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
