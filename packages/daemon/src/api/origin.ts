import type { IncomingHttpHeaders } from "node:http";
import type { AddressInfo } from "node:net";

/**
 * Answers why a request must not be served, or undefined. A page that rebinds its name to 127.0.0.1 still sends its own
 * name in Host; a page of another origin cannot forge Origin. Programs send no Origin and are judged by their token.
 * @param names over TLS: whether our certificate is for that host
 */
export function judgeOrigin(
  headers: IncomingHttpHeaders,
  address: AddressInfo | null,
  configuredHost: string,
  allowedOrigins: readonly string[],
  names?: (host: string) => boolean,
): string | undefined {
  const own = { configuredHost, port: address?.port ?? 0, names };
  const host = headers.host?.toLowerCase() ?? "";
  if (!isOwn(host, own)) return `the Host header ${JSON.stringify(host)} is not an address of this daemon`;
  const { origin } = headers;
  if (origin === undefined || allowedOrigins.includes(origin)) return undefined;
  const scheme = names === undefined ? "http://" : "https://";
  if (origin.startsWith(scheme) && isOwn(origin.slice(scheme.length), own)) return undefined;
  return `the origin ${JSON.stringify(origin)} may not call this daemon`;
}

interface Own {
  readonly configuredHost: string;
  /** 0 until the port is open. */
  readonly port: number;
  readonly names: ((host: string) => boolean) | undefined;
}

/** `name:port` as it is written in Host; the port may be missing where it is the scheme's own. */
function isOwn(written: string, { configuredHost, port, names }: Own): boolean {
  const own = configuredHost.includes(":") ? `[${configuredHost}]` : configuredHost;
  const known = ["127.0.0.1", "localhost", "[::1]", own.toLowerCase()];
  const suffix = `:${port}`;
  const hasPort = written.endsWith(suffix);
  if (!hasPort && port !== (names === undefined ? 80 : 443)) return false;
  const name = hasPort ? written.slice(0, -suffix.length) : written;
  return known.includes(name) || (names?.(name.replace(/^\[(.*)\]$/, "$1")) ?? false);
}

/** Of the other end of a connection; IPv4 may come as IPv6. */
export function isLoopbackAddress(address: string | undefined): boolean {
  const plain = address?.replace(/^::ffff:/, "") ?? "";
  return plain === "::1" || /^127(\.\d+){3}$/.test(plain);
}
