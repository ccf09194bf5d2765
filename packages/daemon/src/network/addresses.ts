import { BlockList, isIP } from "node:net";
import { networkInterfaces } from "node:os";

/**
 * What an address is, as far as it matters who may be reached. `private` ones may be opened by an entry that names them, `loopback`
 * and the machine's `own` likewise; `forbidden` ones never: nothing that a command needs is there, and what is there (the metadata of
 * the machine) gives keys away.
 */
export type AddressKind = "public" | "private" | "loopback" | "own" | "forbidden";

const ranges: Readonly<Record<Exclude<AddressKind, "public" | "own">, readonly string[]>> = {
  loopback: ["127.0.0.0/8", "::1/128"],
  forbidden: [
    // "This network" and unspecified; link-local, with the metadata address; multicast; reserved and broadcast.
    ...["0.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "240.0.0.0/4"],
    ...["::/128", "fe80::/10", "fec0::/10", "ff00::/8"],
    // Metadata and agents of clouds (Azure's WireServer, Alibaba's, Amazon's by IPv6) at addresses that look like others.
    ...["168.63.129.16/32", "100.100.100.200/32", "fd00:ec2::254/128"],
    // Teredo: it hides the address of somebody else's relay.
    "2001::/32",
  ],
  private: [
    // Shared by carriers, protocol assignments, benchmarks: all stay inside somebody's network.
    ...["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "192.0.0.0/24", "198.18.0.0/15"],
    // Unique local; NAT64 of a network's own prefix.
    ...["fc00::/7", "64:ff9b:1::/48"],
  ],
};

export interface SpecialRange {
  readonly kind: Exclude<AddressKind, "public">;
  readonly prefix: number;
  readonly list: BlockList;
}

const specialRanges = (["loopback", "forbidden", "private"] as const).flatMap((kind) =>
  ranges[kind].map((entry): SpecialRange => {
    const [network = "", digits] = entry.split("/");
    return rangeOf(kind, network, Number(digits));
  }),
);

function rangeOf(kind: SpecialRange["kind"], network: string, prefix: number): SpecialRange {
  const list = new BlockList();
  list.addSubnet(network, prefix, familyOf(network));
  return { kind, prefix, list };
}

/**
 * Undefined for a public address. An address of the machine's own is a range by itself, whatever lies around it: a service that
 * listens on it is as near as one on loopback.
 */
export function specialRangeOf(address: string, own: readonly string[] = []): SpecialRange | undefined {
  const range = specialRanges.find((special) => liesIn(address, special));
  if (range?.kind === "forbidden" || range?.kind === "loopback") return range;
  const ownRanges = own.map((one) => rangeOf("own", one, isIP(one) === 4 ? 32 : 128));
  return ownRanges.find((special) => liesIn(address, special)) ?? range;
}

/** Whether the address is in the range. */
export function liesIn(address: string, { list }: SpecialRange): boolean {
  return list.check(address, familyOf(address));
}

/** What the interfaces of this machine have now: they change while the daemon runs. */
export function ownAddresses(): readonly string[] {
  return Object.values(networkInterfaces()).flatMap((all = []) => all.map(({ address }) => address));
}

/**
 * An address and the ones that hide in it: IPv4 inside IPv6, by mapping, translation or 6to4. Each of them has to be allowed, because
 * the connection may end at any. Undefined for text that is no address, or one with a zone, which only link-local ones have.
 */
export function facesOf(text: string): readonly string[] | undefined {
  if (isIP(text) === 0 || text.includes("%")) return undefined;
  if (isIP(text) === 4) return [text];
  const groups = groupsOf(text);
  const inner = (at: number): string =>
    [groups[at] ?? 0, groups[at + 1] ?? 0].flatMap((two) => [two >> 8, two & 255]).join(".");
  const startsWith = (...head: number[]): boolean => head.every((group, index) => groups[index] === group);
  // A mapped address is the IPv4 address; the others are both.
  if (startsWith(0, 0, 0, 0, 0, 0xffff)) return [inner(6)];
  if (startsWith(0, 0, 0, 0, 0, 0) && groups[6] !== 0) return [text, inner(6)];
  if (startsWith(0, 0, 0, 0, 0xffff, 0) || startsWith(0x64, 0xff9b, 0, 0, 0, 0)) return [text, inner(6)];
  if (startsWith(0x2002)) return [text, inner(1)];
  return [text];
}

/** The eight numbers of an IPv6 address. */
function groupsOf(text: string): number[] {
  const dotted = /^(.*:)(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(text);
  const plain =
    dotted === null
      ? text
      : `${dotted[1]}${hex(Number(dotted[2]), Number(dotted[3]))}:${hex(Number(dotted[4]), Number(dotted[5]))}`;
  const [head = "", tail] = plain.split("::");
  const numbers = (part: string): number[] => (part === "" ? [] : part.split(":").map((group) => parseInt(group, 16)));
  if (tail === undefined) return numbers(head);
  const [before, after] = [numbers(head), numbers(tail)];
  return [...before, ...Array<number>(8 - before.length - after.length).fill(0), ...after];
}

const hex = (high: number, low: number): string => ((high << 8) | low).toString(16);

function familyOf(address: string): "ipv4" | "ipv6" {
  return isIP(address) === 4 ? "ipv4" : "ipv6";
}
