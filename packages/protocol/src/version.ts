/** Version of the programs, from the repository's package.json, and of the protocol between them. */
export const version = "0.1.0";

/** Raised by adding; a cloud and a daemon of the same major number understand each other. */
export const protocolVersion = "1.0";

/** The oldest version that this code still speaks. */
export const protocolVersionMin = "1.0";

/** The versions that a program speaks: its newest, its oldest and all between. */
export interface VersionRange {
  readonly newest: string;
  readonly oldest: string;
}

/** The newest version that both speak; undefined where there is none, or where one is no version. */
export function commonVersion(left: VersionRange, right: VersionRange): string | undefined {
  const versions = [left.newest, right.newest].map(parsed);
  const oldest = [left.oldest, right.oldest].map(parsed);
  const [a, b] = versions;
  if (a === undefined || b === undefined || a.major !== b.major) return undefined;
  const common = a.minor < b.minor ? a : b;
  const isSpoken = oldest.every(
    (limit) => limit !== undefined && (limit.major < common.major || limit.minor <= common.minor),
  );
  return isSpoken ? `${common.major}.${common.minor}` : undefined;
}

function parsed(version: string): { readonly major: number; readonly minor: number } | undefined {
  const match = /^(\d{1,6})\.(\d{1,6})$/.exec(version);
  return match === null ? undefined : { major: Number(match[1]), minor: Number(match[2]) };
}
