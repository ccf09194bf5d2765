import { isIP } from "node:net";
import { networkEntryMatches, type NetworkEntry } from "@hl/config/networks.ts";
import { facesOf, liesIn, specialRangeOf, type SpecialRange } from "../network/addresses.ts";
import { destinationText, type Destination } from "../network/destination.ts";
import { entriesOf, entryFor, refuse, type DestinationPolicy, type Entry, type Verdict } from "../network/verdict.ts";

export interface EgressLists {
  /** `security.sandbox.proxy_allowed_hosts`. */
  readonly allowed: readonly string[];
  /** `security.blocked_networks`: wins, whatever is allowed. */
  readonly blocked: readonly string[];
  /** The machine's addresses at the time of asking. */
  readonly ownAddresses: () => readonly string[];
}

const allowKey = "security.sandbox.proxy_allowed_hosts";
const blockKey = "security.blocked_networks";

/**
 * Who may be reached, in two steps. First what was asked for, before anything is looked up: a name that is on no list is not even
 * resolved, since a look-up can carry data out as well as a connection. Then every address that the name has led to: a name is no
 * reason to reach this machine, its neighbours or its cloud's metadata.
 */
export class EgressPolicy implements DestinationPolicy {
  readonly #allowed: readonly Entry[];
  readonly #blocked: readonly Entry[];
  readonly #ownAddresses: () => readonly string[];

  constructor(lists: EgressLists) {
    this.#allowed = entriesOf(lists.allowed);
    this.#blocked = entriesOf(lists.blocked);
    this.#ownAddresses = lists.ownAddresses;
  }

  judgeHost(destination: Destination): Verdict {
    const blocker = entryFor(this.#blocked, destination);
    if (blocker !== undefined) return blockedBy(blocker, destinationText(destination));
    const opener = entryFor(this.#allowed, destination);
    if (opener !== undefined) return { allowed: true, rule: opener.text };
    const text = destinationText(destination);
    return refuse(`${text} is not on the list of hosts: add ${quoted(destination)} to ${allowKey} in daemon.json`);
  }

  /** @param address what `destination` was resolved to, or its own address */
  judgeAddress(destination: Destination, address: string): Verdict {
    const { port } = destination;
    const what =
      destination.host === address ? destinationText(destination) : `${destinationText(destination)} (${address})`;
    const faces = facesOf(address);
    if (faces === undefined) return refuse(`${what} is not an address that can be judged`);
    const blocker = entryFor(this.#blocked, { host: address, port });
    if (blocker !== undefined) return blockedBy(blocker, what);
    const own = this.#ownAddresses();
    let rule = "";
    for (const face of faces) {
      const range = specialRangeOf(face, own);
      if (range === undefined) continue;
      const { kind } = range;
      if (kind === "forbidden")
        return refuse(
          `${what} is link-local, metadata of a cloud, unspecified, multicast or reserved: no key allows it`,
        );
      const opener = this.#allowed.find(({ entry }) => isWithin(entry, range) && matches(entry, { host: face, port }));
      if (opener === undefined) {
        const wanted = quoted({ host: face, port });
        return refuse(
          `${what} is ${kind === "own" ? "this machine's own" : `a ${kind}`} address, which no name allows: add ${wanted} itself to ${allowKey} in daemon.json`,
        );
      }
      rule = opener.text;
    }
    return { allowed: true, rule };
  }
}

const matches = (entry: NetworkEntry, { host, port }: Destination): boolean => networkEntryMatches(entry, host, port);

/** A wide range such as 0.0.0.0/0 means the internet: only an entry that lies in the special range itself means that range. */
function isWithin({ host, prefix }: NetworkEntry, range: SpecialRange): boolean {
  const isNamed = isIP(host) !== 0 && liesIn(host, range);
  return isNamed && (prefix === undefined || prefix >= range.prefix);
}

const blockedBy = ({ text }: Entry, what: string): Verdict =>
  refuse(`${what} is blocked by ${JSON.stringify(text)} in ${blockKey}, which wins over ${allowKey}`, text);

const quoted = (destination: Destination): string => JSON.stringify(destinationText(destination));
