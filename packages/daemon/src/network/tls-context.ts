import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { createSecureContext, rootCertificates, type SecureContext } from "node:tls";

/** Where distributions keep the authorities that the machine trusts, in one file: Debian, Fedora, Alpine and SUSE. */
export const systemStores: readonly string[] = [
  "/etc/ssl/certs/ca-certificates.crt",
  "/etc/pki/tls/certs/ca-bundle.crt",
  "/etc/ssl/cert.pem",
  "/etc/ssl/ca-bundle.pem",
];

export interface ContextParts {
  readonly minVersion: "TLSv1.2" | "TLSv1.3";
  readonly maxVersion: "TLSv1.2" | "TLSv1.3";
  /** OpenSSL's names. */
  readonly ciphers: string;
  /** PEM; never empty: with none at all Node would take its own, and those of `NODE_EXTRA_CA_CERTS`. */
  readonly ca: readonly (string | Buffer)[];
  readonly cert?: Buffer | undefined;
  readonly key?: Buffer | undefined;
}

/**
 * Makes contexts for node:tls and keeps the last one: reading the machine's authorities takes milliseconds, and files are looked at for
 * every connection because certificates are replaced while the daemon runs.
 */
export class TlsContexts {
  #last: { readonly digest: string; readonly context: SecureContext } | undefined;

  /** Throws where the parts are no certificates, or certificate and key do not belong together. */
  of(parts: ContextParts): SecureContext {
    const { ca, cert, key, ...rest } = parts;
    const hash = createHash("sha256").update(JSON.stringify(rest));
    for (const content of [...ca, cert ?? "", key ?? ""]) hash.update(content).update("\0");
    const digest = hash.digest("hex");
    if (this.#last?.digest === digest) return this.#last.context;
    const own = cert === undefined || key === undefined ? {} : { cert, key };
    const context = createSecureContext({ ...rest, ca: [...ca], ...own });
    this.#last = { digest, context };
    return context;
  }
}

/** The authorities that the machine trusts; where it has no store, those that Node brings along. */
export function systemAuthorities(stores: readonly string[] = systemStores): readonly (string | Buffer)[] {
  const store = stores.find((path) => existsSync(path));
  return store === undefined ? rootCertificates : [authoritiesIn(store, readFileSync(store))];
}

/** Throws where the file has no certificate at all: nothing would be trusted then, and no error would say why. */
export function authoritiesIn(path: string, content: Buffer): Buffer {
  if (!content.includes("-----BEGIN CERTIFICATE-----") && !content.includes("-----BEGIN TRUSTED CERTIFICATE-----"))
    throw new Error(
      `${path} has no certificate of an authority: it has to be PEM, beginning with -----BEGIN CERTIFICATE-----`,
    );
  return content;
}
