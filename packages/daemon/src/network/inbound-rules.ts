import { networkEntryMatches } from "@hl/config/networks.ts";
import { facesOf } from "./addresses.ts";
import type { NetworkLists } from "./daemon-networks.ts";
import { ruleFor, rulesFor, type FirewallRule, type Rule, type Rules } from "./firewall-rule.ts";

/** What of the words of `firewall_rules` is about the HTTP port, whether it has TLS or not: a WebSocket begins as a request. */
const protocols: ReadonlySet<string> = new Set(["any", "tcp", "http", "https"]);

/**
 * Who may connect to the HTTP port, by the inbound `firewall_rules`: nobody whom a `deny` names, and where there is an `allow`, only those whom
 * one names. Loopback is no exception. Callers are known by their addresses; a port in a rule is ours, and one for another port is no rule here.
 */
export class InboundRules {
  readonly #allowed: Rules;
  readonly #denied: Rules;

  /** Of `firewallRules` those of other directions and protocols are passed over. */
  constructor({ firewallRules }: Pick<NetworkLists, "firewallRules">) {
    const concerning = (action: FirewallRule["action"]): Rules =>
      rulesFor(firewallRules, { direction: "inbound", action }).filter(({ protocol }) => protocols.has(protocol));
    this.#allowed = concerning("allow");
    this.#denied = concerning("deny");
  }

  /** Why the connection is refused; undefined where it is not. One whose address nobody knows any more is refused. */
  refusalOf(address: string | undefined, port: number): string | undefined {
    const isOfPort = ({ entry }: Rule): boolean => entry?.port === undefined || entry.port === port;
    const [denied, allowed] = [this.#denied.filter(isOfPort), this.#allowed.filter(isOfPort)];
    if (denied.length === 0 && allowed.length === 0) return undefined;
    const host = address?.replace(/%.*$/, "") ?? ""; // The zone says by which of our interfaces, not who.
    const faces = facesOf(host);
    if (faces === undefined) return "its address is not known";
    const denier = ruleFor(denied, { host, port });
    if (denier !== undefined) return denier.text;
    // Each of them: an address that carries another one is not let in by that.
    const isNamed = faces.every((face) =>
      allowed.some(({ entry }) => entry === undefined || networkEntryMatches(entry, face, port)),
    );
    return allowed.length === 0 || isNamed ? undefined : "no inbound allow in network_security.firewall_rules names it";
  }
}
