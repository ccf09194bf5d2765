import { HlError } from "@hl/protocol/errors.ts";
import type { Caller } from "@hl/protocol/method.ts";
import type { Duplex } from "node:stream";
import { TLSSocket } from "node:tls";

/** The name that stands for all certificates without an entry of their own. */
export const anyName = "*";

interface Shown {
  readonly name: string;
  readonly expiresAtMs: number;
}

/** Who the client certificates of the HTTPS port are: named by their subject's common name, with the role that is configured for it. */
export class CertificateCallers {
  /** `authorization.certificate_roles`. */
  readonly #roles: Readonly<Record<string, string>>;
  /** Reading a certificate costs as much as a request; it is the same as long as the connection lives. */
  readonly #shown = new WeakMap<TLSSocket, Shown>();

  constructor(roles: Readonly<Record<string, string>>) {
    this.#roles = roles;
  }

  /** Undefined where no certificate was shown. Throws the refusal of one that opens nothing. */
  callerOf(socket: Duplex, via: Caller["via"]): Caller | undefined {
    if (!(socket instanceof TLSSocket)) return undefined;
    const shown = this.#shown.get(socket) ?? read(socket);
    if (shown === undefined) return undefined;
    this.#shown.set(socket, shown);
    const { name, expiresAtMs } = shown;
    const role = ownValue(this.#roles, name) ?? ownValue(this.#roles, anyName);
    if (role === undefined) {
      const text = `the client certificate of ${JSON.stringify(name)} has no role here: authorization.certificate_roles of security.json names none`;
      throw new HlError("unauthenticated", text);
    }
    return { role, subject: name, via, credential: "certificate", expiresAtMs };
  }
}

function read(socket: TLSSocket): Shown | undefined {
  const certificate = socket.getPeerCertificate();
  // What the types do not say: an empty object, or null, where none was shown.
  if ((certificate as object | null) === null || Object.keys(certificate).length === 0) return undefined;
  if (!socket.authorized) {
    const text = `the client certificate is not valid here: ${String(socket.authorizationError)}`;
    throw new HlError("unauthenticated", text);
  }
  const name: unknown = certificate.subject.CN;
  const isName = typeof name === "string" && name.length <= 256 && /^[^\u0000-\u001f\u007f]+$/.test(name);
  if (!isName || name === anyName)
    throw new HlError("unauthenticated", "the client certificate has no common name, or several, in its subject");
  return { name, expiresAtMs: Date.parse(certificate.valid_to) };
}

function ownValue(values: Readonly<Record<string, string>>, name: string): string | undefined {
  return Object.hasOwn(values, name) ? values[name] : undefined;
}
