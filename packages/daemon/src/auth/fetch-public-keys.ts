import { HttpClient } from "../network/http-client.ts";
import type { Connect } from "../network/outbound.ts";

export interface FetchPublicKeysOptions {
  readonly url: string;
  /** Opens the connection, as the configuration has it for all that the daemon opens. */
  readonly connect: Connect;
}

/** More is not read: keysMax keys with a certificate chain each are less. */
export const answerBytesMax = 262_144;
/** For all of it. Less than `auth/login` has for itself, so that its caller hears what failed. */
export const fetchMsMax = 4_000;

/** The text of a JWKS. No redirect is followed: it would lead to somewhere nobody named. */
export async function fetchPublicKeys({ url, connect }: FetchPublicKeysOptions): Promise<string> {
  // One connection for each: it is asked for every few minutes at most, and certificates are replaced on the disk.
  await using client = new HttpClient({ connect, connectionsMax: 1 });
  const signal = AbortSignal.timeout(fetchMsMax);
  const headers = { accept: "application/jwk-set+json, application/json" };
  const { statusCode, body } = await client.request(url, { method: "GET", signal, headers });
  if (statusCode !== 200) throw new Error(`${url} answered with status ${statusCode}`);
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const part of body as AsyncIterable<Buffer>) {
    bytes += part.length;
    if (bytes > answerBytesMax) throw new Error(`${url} answered with more than ${answerBytesMax} bytes`);
    parts.push(part);
  }
  return Buffer.concat(parts).toString("utf8");
}
