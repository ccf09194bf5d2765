/** Entries of network lists: hosts, host:port, addresses, CIDR ranges and `*.domain`. */
import { BlockList, isIP } from "node:net";
import * as z from "zod";

export interface NetworkEntry {
  /** Lower case, brackets removed; begins with "*." for a whole domain. */
  readonly host: string;
  readonly port?: number | undefined;
  /** Prefix length of a CIDR range. */
  readonly prefix?: number | undefined;
}

const LABEL = "[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?";
const HOST = new RegExp(`^(?:\\*\\.)?${LABEL}(?:\\.${LABEL})*\\.?$`);

/** Undefined where the text is none of the five forms. */
export const parseNetworkEntry = (text: string): NetworkEntry | undefined => {
  const lower = text.toLowerCase();
  const cidr = /^(.+)\/(\d{1,3})$/.exec(lower);
  if (cidr?.[1] !== undefined) {
    const family = isIP(cidr[1]);
    const prefix = Number(cidr[2]);
    if (family === 0 || prefix > (family === 4 ? 32 : 128)) return undefined;
    const inner = prefix < 96 ? undefined : ipv4In(cidr[1]);
    return inner === undefined ? { host: cidr[1], prefix } : { host: inner, prefix: prefix - 96 };
  }
  if (isIP(lower) !== 0) return { host: ipv4In(lower) ?? lower };
  const [, bracketed, plain, digits] = /^(?:\[([^\]]+)\]|([^:[\]]+))(?::(\d{1,5}))?$/.exec(lower) ?? [];
  const host = bracketed ?? plain ?? "";
  const port = digits === undefined ? undefined : Number(digits);
  if (port !== undefined && (port < 1 || port > 65_535)) return undefined;
  const known = bracketed === undefined ? isHost(host) : isIP(bracketed) === 6;
  return known ? { host: ipv4In(host) ?? host, port } : undefined;
};

/** The IPv4 address that a mapped one (`::ffff:1.2.3.4`) is: lists mean the same by both. Undefined for every other text. */
const ipv4In = (text: string): string | undefined => {
  if (isIP(text) !== 6 || text.includes("%")) return undefined;
  const canonical = new URL(`http://[${text}]`).hostname;
  const [, high = "", low = ""] = /^\[::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})\]$/.exec(canonical) ?? [];
  if (low === "") return undefined;
  return [high, low].flatMap((group) => [parseInt(group, 16) >> 8, parseInt(group, 16) & 255]).join(".");
};

/** A name whose last label is all digits is a broken address ("300.1.2.3"), not a name. */
const isHost = (host: string): boolean =>
  isIP(host) !== 0 || (host.length <= 253 && HOST.test(host) && !/(?:^|\.)\d+\.?$/.test(host));

/** Whether a host (name or address, as configured; nothing is resolved here) and port fall under the entry. */
export const networkEntryMatches = (entry: NetworkEntry, host: string, port: number): boolean => {
  if (entry.port !== undefined && entry.port !== port) return false;
  const wanted = host
    .toLowerCase()
    .replace(/^\[(.*)\]$/, "$1")
    .replace(/\.$/, "");
  const family = isIP(wanted);
  const own = entry.host.replace(/\.$/, "");
  if (isIP(own) !== 0) {
    if (family === 0) return false;
    const list = new BlockList();
    const type = isIP(own) === 4 ? "ipv4" : "ipv6";
    if (entry.prefix === undefined) list.addAddress(own, type);
    else list.addSubnet(own, entry.prefix, type);
    return list.check(wanted, family === 4 ? "ipv4" : "ipv6");
  }
  return own.startsWith("*.") ? wanted.endsWith(own.slice(1)) : wanted === own;
};

/** True for addresses and names that stay on this machine. */
export const isLoopbackHost = (host: string): boolean => {
  const plain = host.toLowerCase().replace(/^\[(.*)\]$/, "$1");
  return (
    plain === "localhost" ||
    plain.endsWith(".localhost") ||
    plain === "::1" ||
    (isIP(plain) === 4 && plain.startsWith("127."))
  );
};

export const networkEntry = z
  .string()
  .refine((text) => parseNetworkEntry(text) !== undefined, "must be a host, host:port, address, CIDR range or *.domain")
  .meta({ description: "host, host:port, address, CIDR range or *.domain" });

/** https anywhere, http only to this machine; no user name or password inside. */
export const serviceUrl = z
  .string()
  .max(2048)
  .superRefine((text, context) => {
    const message = urlFault(text);
    if (message !== undefined) context.addIssue({ code: "custom", message });
  })
  .meta({ description: "https URL (http only to a loopback address)" });

const urlFault = (text: string): string | undefined => {
  const url = URL.parse(text);
  if (url === null) return "must be a complete URL such as https://api.humanlayer.dev";
  if (url.protocol === "http:" && !isLoopbackHost(url.hostname))
    return "must use https: plain http is allowed only to a loopback address";
  if (url.protocol !== "https:" && url.protocol !== "http:") return "must use https";
  if (url.username !== "" || url.password !== "") return "must not contain a user name or password";
  if (url.search !== "" || url.hash !== "") return 'must not contain "?" or "#"';
  return undefined;
};
