/** The address of `cloud_api.base_url`, for checks that compare it with others. */
import type { Trees } from "./finding.ts";
import { networkEntryMatches, parseNetworkEntry } from "./networks.ts";

export interface CloudAddress {
  readonly url: URL;
  readonly host: string;
  readonly port: number;
}

/** Where the cloud is; undefined where none is configured. */
export const cloudOf = ({ daemon }: Trees): CloudAddress | undefined => {
  const url = URL.parse(daemon.cloud_api.base_url ?? "");
  if (url === null) return undefined;
  const port = url.port === "" ? (url.protocol === "https:" ? 443 : 80) : Number(url.port);
  return { url, host: url.hostname.replace(/^\[(.*)\]$/, "$1"), port };
};

/** Whether an entry of the list names the address; nothing is resolved here. */
export const listed = (entries: readonly string[], { host, port }: CloudAddress): boolean =>
  entries.some((text) => {
    const entry = parseNetworkEntry(text);
    return entry !== undefined && networkEntryMatches(entry, host, port);
  });
