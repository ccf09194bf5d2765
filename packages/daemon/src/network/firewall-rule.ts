import type { NetworkEntry } from "@hl/config/networks.ts";
import type { Destination } from "./destination.ts";
import { entriesOf, entryFor } from "./verdict.ts";

/** As `network_security.firewall_rules` has it. */
export interface FirewallRule {
  readonly direction: "outbound" | "inbound";
  readonly protocol: string;
  /** The other end: for an inbound rule who connects, with a port of ours. */
  readonly destination: string;
  readonly action: "allow" | "deny";
}

/** A rule, or an entry of a list, as it is held against a connection. */
export interface Rule {
  /** For people: what is written where. */
  readonly text: string;
  /** Undefined: everything. */
  readonly entry: NetworkEntry | undefined;
  readonly protocol: string;
}

export type Rules = readonly Rule[];

/** Those of one direction and action, in the order in which they are written. */
export function rulesFor(rules: readonly FirewallRule[], of: Pick<FirewallRule, "direction" | "action">): Rules {
  const concerned = rules.filter(({ direction, action }) => direction === of.direction && action === of.action);
  return concerned.flatMap(({ direction, protocol, destination, action }): Rules => {
    const way = direction === "inbound" ? "inbound " : "";
    const text = `the rule "${way}${action} ${protocol} ${destination}" in network_security.firewall_rules`;
    if (destination === "any") return [{ text, entry: undefined, protocol }];
    return entriesOf([destination]).map(({ entry }) => ({ text, entry, protocol }));
  });
}

/** The first that the destination falls under, in whatever form its address is written. */
export function ruleFor(rules: Rules, destination: Destination): Rule | undefined {
  return rules.find(({ entry }) => entry === undefined || entryFor([{ text: "", entry }], destination) !== undefined);
}
