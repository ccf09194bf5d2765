import type { IncomingHttpHeaders } from "node:http";
import type { AddressInfo } from "node:net";

/**
 * Answers why a request must not be served, or undefined. A page that rebinds its name to 127.0.0.1 still sends its own
 * name in Host; a page of another origin cannot forge Origin. Programs send no Origin and are judged by their token.
 */
export function judgeOrigin(
  headers: IncomingHttpHeaders,
  address: AddressInfo | null,
  configuredHost: string,
  allowedOrigins: readonly string[],
): string | undefined {
  const port = address?.port ?? 0;
  const own = configuredHost.includes(":") ? `[${configuredHost}]` : configuredHost;
  const names = ["127.0.0.1", "localhost", "[::1]", own.toLowerCase()];
  const hosts = new Set(names.map((name) => `${name}:${port}`));
  const host = headers.host?.toLowerCase() ?? "";
  if (!hosts.has(host) && !(port === 80 && names.includes(host))) {
    return `the Host header ${JSON.stringify(host)} is not an address of this daemon`;
  }
  const { origin } = headers;
  if (origin === undefined || allowedOrigins.includes(origin)) return undefined;
  if ([...hosts].some((name) => origin === `http://${name}`)) return undefined;
  return `the origin ${JSON.stringify(origin)} may not call this daemon`;
}
