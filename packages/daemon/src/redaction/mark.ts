import type { Search } from "./needle-search.ts";
import { bareMark } from "./secrets.ts";

const nameCharactersMax = 64;

/** What stands in the place of a secret: its name, where that tells none. */
export function markFor(name: string, search: Search): string {
  const mark = `[redacted:${name.slice(0, nameCharactersMax)}]`;
  return search.spansIn(mark) === undefined ? mark : bareMark;
}
