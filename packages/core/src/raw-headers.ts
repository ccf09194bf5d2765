/** Headers as they stand on the wire: names and values in turn, so that nothing is renamed, joined or put in another order. */
export type RawHeaders = readonly string[];

/** They speak of one connection, and ours to the server is another one (RFC 9110, 7.6.1). */
const hopByHop = new Set([
  "connection",
  "keep-alive",
  "proxy-authenticate",
  "proxy-authorization",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);

/** They say where a message ends and whose it is: one that loses them on the way is read as another message. */
const endToEnd = new Set(["content-length", "transfer-encoding", "host"]);

/** What is passed on: no hop-by-hop header, none that `Connection` names, and none of `without`. */
export function passedHeaders(raw: RawHeaders, without: readonly string[] = []): string[] {
  const named = namedByConnection(raw).filter((name) => !endToEnd.has(name));
  const dropped = new Set([...hopByHop, ...named, ...without]);
  return pairsOf(raw)
    .filter(([name]) => !dropped.has(name.toLowerCase()))
    .flat();
}

/** The header that `Connection` names although no proxy may leave it out; undefined where all is well. */
export function misnamedHeader(raw: RawHeaders): string | undefined {
  return namedByConnection(raw).find((name) => endToEnd.has(name));
}

function namedByConnection(raw: RawHeaders): string[] {
  return pairsOf(raw)
    .filter(([name]) => name.toLowerCase() === "connection")
    .flatMap(([, value]) => value.split(","))
    .map((name) => name.trim().toLowerCase());
}

function pairsOf(raw: RawHeaders): [name: string, value: string][] {
  return Array.from({ length: raw.length >> 1 }, (_, index) => [raw[2 * index] ?? "", raw[2 * index + 1] ?? ""]);
}
