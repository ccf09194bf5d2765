import type { Paint } from "./paint.ts";
import { escapeText } from "./escape.ts";

/** Lines that stay the same are shown so far around what changes. */
const contextLines = 2;

/**
 * What an edit changes, line by line: what goes with `-`, what comes with `+`. Between its first and its last difference everything is
 * shown, so nothing can hide there; also no character that looks like another one when it is escaped for a terminal, as the result is.
 */
export function diffLines(before: string, after: string): string[] {
  const old = before.split("\n");
  const now = after.split("\n");
  let same = 0;
  while (same < old.length && same < now.length && old[same] === now[same]) same += 1;
  let sameAtEnd = 0;
  const most = Math.min(old.length, now.length) - same;
  while (sameAtEnd < most && old[old.length - 1 - sameAtEnd] === now[now.length - 1 - sameAtEnd]) sameAtEnd += 1;
  const first = Math.max(0, same - contextLines);
  const behind = Math.min(contextLines, sameAtEnd);
  const marked =
    (mark: string) =>
    (line: string): string =>
      `${mark} ${escapeText(line)}`;
  const keep = marked(" ");
  return [
    ...(first > 0 ? [`  … ${first} lines that stay`] : []),
    ...old.slice(first, same).map(keep),
    ...old.slice(same, old.length - sameAtEnd).map(marked("-")),
    ...now.slice(same, now.length - sameAtEnd).map(marked("+")),
    ...old.slice(old.length - sameAtEnd, old.length - sameAtEnd + behind).map(keep),
    ...(sameAtEnd > behind ? [`  … ${sameAtEnd - behind} lines that stay`] : []),
  ];
}

/** A line of `diffLines` in its colour. */
export function paintedDiff(line: string, paint: Paint): string {
  if (line.startsWith("- ")) return paint("bad", line);
  return line.startsWith("+ ") ? paint("good", line) : line;
}
