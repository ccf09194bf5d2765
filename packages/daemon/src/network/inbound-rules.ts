import { ruleFor, rulesFor, type FirewallRule, type Rules } from "./firewall-rule.ts";

export interface InboundOptions {
  /** `network_security.firewall_rules` of security.json; those of other directions are passed over. */
  readonly firewallRules: readonly FirewallRule[];
  /** What the port speaks. */
  readonly protocol: "http" | "https";
}

/**
 * Who may connect to the HTTP port, by the inbound `firewall_rules`: nobody whom a `deny` names, and where there is an `allow`, only those whom
 * one names. Loopback is no exception. Callers are known by their addresses; a port in a rule is ours.
 */
export class InboundRules {
  readonly #allowed: Rules;
  readonly #denied: Rules;

  constructor({ firewallRules, protocol }: InboundOptions) {
    const concerning = (action: FirewallRule["action"]): Rules =>
      rulesFor(firewallRules, { direction: "inbound", action }).filter((rule) =>
        ["any", "tcp", protocol].includes(rule.protocol),
      );
    this.#allowed = concerning("allow");
    this.#denied = concerning("deny");
  }

  /** Why the connection is refused; undefined where it is not. One whose address nobody knows any more is refused. */
  refusalOf(address: string | undefined, port: number): string | undefined {
    if (this.#allowed.length === 0 && this.#denied.length === 0) return undefined;
    if (address === undefined) return "its address is not known any more";
    const caller = { host: address, port };
    const denied = ruleFor(this.#denied, caller);
    if (denied !== undefined) return denied.text;
    if (this.#allowed.length === 0 || ruleFor(this.#allowed, caller) !== undefined) return undefined;
    return "no inbound allow in network_security.firewall_rules names it";
  }
}
