import { isIP } from "node:net";
import { isLoopbackHost, networkEntryMatches, parseNetworkEntry, type NetworkEntry } from "@hl/config/networks.ts";
import { facesOf, specialRangeOf } from "./addresses.ts";
import { parseAuthority, type Destination } from "./destination.ts";

/** An HTTP proxy that makes tunnels (CONNECT). */
export interface Proxy extends Destination {
  /** TLS on the way to the proxy itself. */
  readonly isTls: boolean;
  /** Secret, as is what is made of it. */
  readonly credentials: { readonly user: string; readonly password: string } | undefined;
}

/** A variable that cannot be obeyed. Its message never has the value, which may hold a password. */
export class ProxyVariableInvalid extends Error {
  override readonly name = "ProxyVariableInvalid";
}

type Environment = Readonly<Record<string, string | undefined>>;

type Exceptions = readonly NetworkEntry[] | "everything";

/** The first that is set counts, also where it is empty, which means: none. curl's order. */
const proxyVariables = ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"] as const;
const exceptVariables = ["no_proxy", "NO_PROXY"] as const;
const wanted = "http://HOST:PORT or https://HOST:PORT, with USER:PASSWORD@ before the host where the proxy asks for it";

/**
 * The proxy for the daemon's own connections, from its environment as every program of the machine has it. `HTTP_PROXY` has no meaning here:
 * plain HTTP does not leave the machine.
 */
export class ProxySettings {
  readonly proxy: Proxy;
  readonly #except: Exceptions;

  private constructor(proxy: Proxy, except: Exceptions) {
    this.proxy = proxy;
    this.#except = except;
  }

  /** Undefined where there is no proxy. Throws ProxyVariableInvalid. */
  static from(environment: Environment): ProxySettings | undefined {
    const variable = proxyVariables.find((name) => environment[name] !== undefined);
    const text = variable === undefined ? "" : (environment[variable]?.trim() ?? "");
    if (variable === undefined || text === "") return undefined;
    const except = exceptVariables.find((name) => environment[name] !== undefined);
    return new ProxySettings(
      proxyFrom(variable, text),
      except === undefined ? [] : exceptFrom(except, environment[except] ?? ""),
    );
  }

  /** What must be told nowhere (X4), by names that say so. */
  get secrets(): Readonly<Record<string, string>> {
    const { credentials } = this.proxy;
    if (credentials === undefined) return {};
    return { proxy_password: credentials.password, proxy_credential: basicAuthorization(credentials) };
  }

  /** The proxy that leads there; undefined where the way is direct, as it always is to this machine. */
  proxyFor({ host, port }: Destination): Proxy | undefined {
    if (this.#except === "everything" || isLoopback(host)) return undefined;
    const hosts = [host, ...(facesOf(host) ?? [])];
    const isExcept = this.#except.some((entry) => hosts.some((form) => networkEntryMatches(entry, form, port)));
    return isExcept ? undefined : this.proxy;
  }
}

function isLoopback(host: string): boolean {
  const faces = facesOf(host);
  return faces === undefined ? isLoopbackHost(host) : faces.every((face) => specialRangeOf(face)?.kind === "loopback");
}

function proxyFrom(variable: string, text: string): Proxy {
  const invalid = (why: string): ProxyVariableInvalid =>
    new ProxyVariableInvalid(`${variable} ${why}: it has to be ${wanted}`);
  const url = URL.parse(text.includes("://") ? text : `http://${text}`);
  if (url === null) throw invalid("is no address");
  const scheme = url.protocol.slice(0, -1);
  if (scheme !== "http" && scheme !== "https")
    throw invalid(`names a proxy that speaks ${scheme}, which is not supported`);
  if ((url.pathname !== "/" && url.pathname !== "") || url.search !== "" || url.hash !== "")
    throw invalid("has more than an address");
  const isTls = scheme === "https";
  const destination = parseAuthority(url.host, isTls ? 443 : 80);
  if (destination === undefined) throw invalid("has no host that can be connected to");
  const credentials = credentialsFrom(url);
  if (credentials === "broken") throw invalid("has a name or a password with a % that escapes nothing");
  return { ...destination, isTls, credentials };
}

function credentialsFrom({ username, password }: URL): Proxy["credentials"] | "broken" {
  if (username === "" && password === "") return undefined;
  try {
    return { user: decodeURIComponent(username), password: decodeURIComponent(password) };
  } catch {
    return "broken";
  }
}

/** Value of `Proxy-Authorization` (RFC 7617). */
export function basicAuthorization({ user, password }: NonNullable<Proxy["credentials"]>): string {
  return `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`;
}

/** `domain` and `.domain` mean the domain and all below it, as curl has it. */
function exceptFrom(variable: string, text: string): Exceptions {
  const parts = text.split(/[\s,]+/).filter((part) => part !== "");
  if (parts.includes("*")) return "everything";
  return parts.flatMap((part) => {
    const plain = part.replace(/^\*?\./, "");
    const entry = parseNetworkEntry(plain);
    if (entry === undefined)
      throw new ProxyVariableInvalid(
        `${variable} has ${JSON.stringify(part)}: it has to be "*", or hosts, .domains, addresses and CIDR ranges with commas between them`,
      );
    const isName = isIP(entry.host) === 0;
    return isName ? [entry, { ...entry, host: `*.${entry.host}` }] : [entry];
  });
}
