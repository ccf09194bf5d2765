/**
 * Whether a text fits a pattern in which `*` stands for any characters, and everything else for itself, from the first character to
 * the last. Takes time in proportion to the text, whatever the pattern: the text is an agent's, and must not hold the daemon up.
 * @param notByStar characters that no `*` stands for
 */
export function fitsWildcard(text: string, pattern: string, notByStar?: RegExp): boolean {
  const [first = "", ...rest] = pattern.split("*");
  const last = rest.pop();
  if (last === undefined) return text === first;
  if (!text.startsWith(first)) return false;
  const starFits = (from: number, to: number): boolean => notByStar?.test(text.slice(from, to)) !== true;
  let at = first.length;
  // The earliest place is as good as any: what a later one would leave to the star behind it, it leaves to the star before it.
  for (const part of rest) {
    const found = text.indexOf(part, at);
    if (found === -1 || !starFits(at, found)) return false;
    at = found + part.length;
  }
  const end = text.length - last.length;
  return end >= at && text.endsWith(last) && starFits(at, end);
}
