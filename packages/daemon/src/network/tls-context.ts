import { existsSync, readFileSync, statSync } from "node:fs";
import { createSecureContext, rootCertificates, type SecureContext } from "node:tls";
import { errorText } from "@hl/core/logger.ts";

/** Where distributions keep the authorities that the machine trusts, in one file: Debian, Fedora, Alpine and SUSE. */
export const systemStores: readonly string[] = [
  "/etc/ssl/certs/ca-certificates.crt",
  "/etc/pki/tls/certs/ca-bundle.crt",
  "/etc/ssl/cert.pem",
  "/etc/ssl/ca-bundle.pem",
];

/** A file of certificates in PEM, or what Node brings along. */
export type Authorities = { readonly file: string } | "bundled";

export interface ContextParts {
  readonly minVersion: "TLSv1.2" | "TLSv1.3";
  readonly maxVersion: "TLSv1.2" | "TLSv1.3";
  /** OpenSSL's names. */
  readonly ciphers: string;
  /** Never empty: with none at all Node would take its own, and those of `NODE_EXTRA_CA_CERTS`. */
  readonly ca: readonly Authorities[];
  /** The client's files, PEM. */
  readonly own?: { readonly cert: string; readonly key: string } | undefined;
}

/**
 * Makes contexts for node:tls and keeps the last one. Certificates are replaced while the daemon runs, so each connection asks anew; but
 * to read the machine's authorities takes milliseconds and a fifth of a megabyte, which an idle daemon would pay with every heartbeat: they
 * are read again when a file is another one than before, by its inode, length and times. Looked at before it is read, so that what is
 * written in between is seen by the next connection.
 */
export class TlsContexts {
  #last: { readonly key: string; readonly context: SecureContext } | undefined;

  /** Throws where a file cannot be read or holds no certificates, or certificate and key do not belong together. */
  of({ ca, own, ...rest }: ContextParts): SecureContext {
    const ofFiles = ca.map((one) => (one === "bundled" ? one : identityOf(one.file)));
    const ofOwn = own === undefined ? [] : [identityOf(own.cert), identityOf(own.key)];
    const key = JSON.stringify([rest, ofFiles, ofOwn]);
    if (this.#last?.key === key) return this.#last.context;
    const trusted = ca.flatMap<string | Buffer>((one) =>
      one === "bundled" ? rootCertificates : authoritiesIn(one.file),
    );
    const context = own === undefined ? createSecureContext({ ...rest, ca: trusted }) : withOwn(own, rest, trusted);
    this.#last = { key, context };
    return context;
  }
}

/** The authorities that the machine trusts; where it has no store, those that Node brings along. */
export function systemAuthorities(stores: readonly string[] = systemStores): Authorities {
  const file = stores.find((path) => existsSync(path));
  return file === undefined ? "bundled" : { file };
}

/** What is another one for another file and for other content. */
function identityOf(file: string): string {
  const { dev, ino, size, mtimeNs, ctimeNs } = statSync(file, { bigint: true });
  return [file, dev, ino, size, mtimeNs, ctimeNs].join(" ");
}

function withOwn(
  { cert, key }: NonNullable<ContextParts["own"]>,
  rest: Omit<ContextParts, "ca" | "own">,
  ca: (string | Buffer)[],
): SecureContext {
  const pair = { cert: readFileSync(cert), key: readFileSync(key) };
  try {
    return createSecureContext({ ...rest, ca, ...pair });
  } catch (error) {
    const text = `the client certificate in ${cert} and the key in ${key} cannot be used (${errorText(error)}): both have to be PEM, the key without a password, and belong together`;
    throw new Error(text, { cause: error });
  }
}

/** Throws where the file has no certificate at all: nothing would be trusted then, and no error would say why. */
function authoritiesIn(path: string): Buffer {
  const content = readFileSync(path);
  if (!content.includes("-----BEGIN CERTIFICATE-----") && !content.includes("-----BEGIN TRUSTED CERTIFICATE-----"))
    throw new Error(
      `${path} has no certificate of an authority: it has to be PEM, beginning with -----BEGIN CERTIFICATE-----`,
    );
  return content;
}
