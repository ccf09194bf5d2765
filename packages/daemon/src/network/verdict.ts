import { networkEntryMatches, parseNetworkEntry, type NetworkEntry } from "@hl/config/networks.ts";
import { facesOf } from "./addresses.ts";
import type { Destination } from "./destination.ts";

/** `rule` is the entry that decided, where one did; `reason` says what to do about a refusal. */
export type Verdict =
  | { readonly allowed: true; readonly rule: string }
  | { readonly allowed: false; readonly rule: string | undefined; readonly reason: string };

/**
 * Who may be reached, in two steps: what was asked for, before anything is looked up; then every address that it has led to. An address
 * that was asked for is judged in both.
 */
export interface DestinationPolicy {
  judgeHost(destination: Destination): Verdict;
  /** @param address what `destination` was resolved to, or its own address */
  judgeAddress(destination: Destination, address: string): Verdict;
}

export interface Entry {
  /** As it is configured. */
  readonly text: string;
  readonly entry: NetworkEntry;
}

/** The configuration has checked their form. */
export function entriesOf(texts: readonly string[]): Entry[] {
  return texts.flatMap((text) => {
    const entry = parseNetworkEntry(text);
    return entry === undefined ? [] : [{ text, entry }];
  });
}

/** The first entry that the host falls under, in whatever form an address is written. */
export function entryFor<E extends Entry>(entries: readonly E[], { host, port }: Destination): E | undefined {
  const hosts = [host, ...(facesOf(host) ?? [])];
  return entries.find(({ entry }) => hosts.some((form) => networkEntryMatches(entry, form, port)));
}

export const refuse = (reason: string, rule?: string): Verdict => ({ allowed: false, rule, reason });
