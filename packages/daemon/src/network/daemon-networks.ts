import { isIP } from "node:net";
import { facesOf, specialRangeOf } from "./addresses.ts";
import { destinationText, type Destination } from "./destination.ts";
import { ruleFor, rulesFor, type FirewallRule, type Rule, type Rules } from "./firewall-rule.ts";
import { entriesOf, refuse, type DestinationPolicy, type Verdict } from "./verdict.ts";

/** What a connection of the daemon is for, in the words of `firewall_rules`. `proxy` is the way to one, whatever goes through it. */
export type Use = "https" | "wss" | "http" | "ws" | "proxy";

export interface NetworkLists {
  /** `security.allowed_networks`. */
  readonly allowed: readonly string[];
  /** `security.blocked_networks`. */
  readonly blocked: readonly string[];
  /** `network_security.firewall_rules` of security.json. */
  readonly firewallRules: readonly FirewallRule[];
}

export interface Asked {
  readonly use: Use;
  /** Another part of the configuration names the place, so it need not be on a list; what is blocked stays blocked. */
  readonly implied?: boolean | undefined;
  /** What would be weak on a network: only addresses that do not leave this machine. */
  readonly loopbackOnly?: boolean | undefined;
  /** Somebody else resolves the name, so its addresses cannot be judged and a range of them allows no name. */
  readonly byNameOnly?: boolean | undefined;
}

const allowKey = "security.allowed_networks";
const blockKey = "security.blocked_networks";

/** A WebSocket begins as a request, and each is a connection of TCP. */
const protocolsOf: Readonly<Record<Use, ReadonlySet<string>>> = {
  https: new Set(["any", "tcp", "https"]),
  wss: new Set(["any", "tcp", "https", "wss"]),
  http: new Set(["any", "tcp", "http"]),
  ws: new Set(["any", "tcp", "http", "ws"]),
  proxy: new Set(["any", "tcp", "http", "https"]),
};

/**
 * Where the daemon itself may connect: what `allowed_networks` or an `allow` rule names, unless `blocked_networks` or a `deny` rule does.
 * A name is allowed by its own entry, or by the addresses that it has; blocked by either.
 */
export class DaemonNetworks {
  readonly #allowed: Rules;
  readonly #blocked: Rules;

  constructor({ allowed, blocked, firewallRules }: NetworkLists) {
    const rulesOf = (action: FirewallRule["action"]): Rules =>
      rulesFor(firewallRules, { direction: "outbound", action });
    this.#allowed = [...listed(allowed, allowKey), ...rulesOf("allow")];
    this.#blocked = [...listed(blocked, blockKey), ...rulesOf("deny")];
  }

  policyFor(asked: Asked): DestinationPolicy {
    const concerning = (rules: Rules): Rule[] => rules.filter(({ protocol }) => protocolsOf[asked.use].has(protocol));
    return new OnePolicy(concerning(this.#allowed), concerning(this.#blocked), asked);
  }
}

class OnePolicy implements DestinationPolicy {
  readonly #allowed: Rules;
  readonly #blocked: Rules;
  readonly #asked: Asked;

  constructor(allowed: Rules, blocked: Rules, asked: Asked) {
    this.#allowed = allowed;
    this.#blocked = blocked;
    this.#asked = asked;
  }

  judgeHost(destination: Destination): Verdict {
    const text = destinationText(destination);
    const blocker = ruleFor(this.#blocked, destination);
    if (blocker !== undefined) return blockedBy(blocker, text);
    const opener = this.#openerOf(destination);
    if (opener !== undefined) return { allowed: true, rule: opener };
    const isName = isIP(destination.host) === 0;
    const mayBeInRange = isName && this.#allowed.some((rule) => isAddressRule(rule, destination.port));
    // Only then is it worth a look-up, which tells the name to others.
    if (mayBeInRange && this.#asked.byNameOnly !== true) return { allowed: true, rule: "" };
    return notListed(text, destination, mayBeInRange);
  }

  judgeAddress(destination: Destination, address: string): Verdict {
    const { host, port } = destination;
    const reached = { host: address, port };
    const text = host === address ? destinationText(destination) : `${destinationText(destination)} (${address})`;
    const faces = facesOf(address);
    if (faces === undefined) return refuse(`${text} is no address that can be judged`);
    const blocker = ruleFor(this.#blocked, reached);
    if (blocker !== undefined) return blockedBy(blocker, text);
    const kinds = faces.map((face) => specialRangeOf(face)?.kind);
    if (this.#asked.loopbackOnly === true && kinds.some((kind) => kind !== "loopback"))
      return refuse(
        `${text} is not on this machine, and nothing else is reached without TLS and a checked certificate`,
      );
    const addressRules = this.#allowed.filter((rule) => isAddressRule(rule, port));
    const named = ruleFor(kinds.includes("forbidden") ? addressRules.filter(isForbiddenRule) : addressRules, reached);
    if (kinds.includes("forbidden") && named === undefined)
      return refuse(
        `${text} is link-local, metadata of a cloud, unspecified, multicast or reserved: only an entry for that very address in ${allowKey} leads there`,
      );
    const opener = named?.text ?? this.#openerOf(destination);
    return opener === undefined ? notListed(text, reached, false) : { allowed: true, rule: opener };
  }

  #openerOf(destination: Destination): string | undefined {
    return ruleFor(this.#allowed, destination)?.text ?? (this.#asked.implied === true ? "" : undefined);
  }
}

function isAddressRule({ entry }: Rule, port: number): boolean {
  return entry !== undefined && isIP(entry.host) !== 0 && (entry.port === undefined || entry.port === port);
}

/** A wide range such as 0.0.0.0/0 means the internet and not what no name may lead to. */
function isForbiddenRule({ entry }: Rule): boolean {
  const range = entry === undefined ? undefined : specialRangeOf(entry.host);
  return range?.kind === "forbidden" && (entry?.prefix ?? 128) >= range.prefix;
}

function listed(texts: readonly string[], key: string): Rule[] {
  return entriesOf(texts).map(({ text, entry }) => ({
    text: `${JSON.stringify(text)} in ${key}`,
    entry,
    protocol: "any",
  }));
}

function blockedBy(rule: Rule, text: string): Verdict {
  return refuse(`${text} is blocked by ${rule.text}, which wins over what is allowed`, rule.text);
}

function notListed(text: string, destination: Destination, rangesOnly: boolean): Verdict {
  const wanted = JSON.stringify(destinationText(destination));
  const why = rangesOnly ? " by its name, and ranges of addresses do not count where a proxy resolves it" : "";
  return refuse(`the daemon may not connect to ${text}: nothing allows it${why}. Add ${wanted} to ${allowKey}`);
}
