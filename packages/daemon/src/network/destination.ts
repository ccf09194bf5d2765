import { isIP } from "node:net";

/** Where a client of the proxy wants to go, in the one spelling that everything behind this compares. */
export interface Destination {
  /** A name in lower case without the dot at its end, or an address without brackets. */
  readonly host: string;
  readonly port: number;
}

export interface PlainTarget extends Destination {
  /** Path and query, as the client wrote them. */
  readonly path: string;
}

const authorityPattern = /^(?:\[([0-9a-f:.]+)\]|([^:[\]]+))(?::(\d{1,5}))?$/;
const namePattern = /^[a-z0-9_](?:[a-z0-9_-]{0,62})(?:\.[a-z0-9_][a-z0-9_-]{0,62})*$/;
const httpPort = 80;

/** `host:port`, as in CONNECT; undefined for anything else. User names, zones of addresses and names in other scripts are not taken. */
export function parseAuthority(text: string, defaultPort?: number): Destination | undefined {
  const [, bracketed, plain, digits] = authorityPattern.exec(text.toLowerCase()) ?? [];
  const port = digits === undefined ? defaultPort : Number(digits);
  if (port === undefined || port < 1 || port > 65_535) return undefined;
  if (bracketed !== undefined) return isIP(bracketed) === 6 ? { host: bracketed, port } : undefined;
  const host = plain?.replace(/\.$/, "") ?? "";
  const known = isIP(host) === 4 || (host.length <= 253 && namePattern.test(host));
  return known ? { host, port } : undefined;
}

/** The absolute form of a plain request, `http://host/path`. The path is cut off and not parsed: what it means is the server's business. */
export function parsePlainTarget(text: string): PlainTarget | undefined {
  const [, authority, rest = ""] = /^http:\/\/([^/?#]+)([/?].*)?$/i.exec(text) ?? [];
  const destination = authority === undefined ? undefined : parseAuthority(authority, httpPort);
  if (destination === undefined) return undefined;
  return { ...destination, path: rest.startsWith("/") ? rest : `/${rest}` };
}

/** The value of a Host header. */
export function hostHeader({ host, port }: Destination): string {
  const name = isIP(host) === 6 ? `[${host}]` : host;
  return port === httpPort ? name : `${name}:${port}`;
}

/** For people: an address of either kind with its port. */
export function destinationText({ host, port }: Destination): string {
  return isIP(host) === 6 ? `[${host}]:${port}` : `${host}:${port}`;
}
