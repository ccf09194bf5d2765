import { matchCharactersMax, type SecretPattern } from "@hl/config/secret-pattern.ts";
import type { Search, Span } from "./needle-search.ts";

export interface NamedPattern {
  readonly name: string;
  readonly pattern: SecretPattern;
}

/**
 * Finds what patterns of secrets fit, in time that grows with the text's length whatever is in it: a text that was made to begin a match at every
 * character, so that the work for it is used up, is a secret from there on.
 */
export class PatternSearch implements Search {
  readonly #patterns: readonly NamedPattern[];
  readonly longest: number;

  constructor(patterns: Iterable<NamedPattern>) {
    this.#patterns = [...patterns];
    this.longest = this.#patterns.reduce((most, { pattern }) => Math.max(most, pattern.charactersMax), 0);
  }

  spansIn(text: string): Span[] | undefined {
    let found: Span[] | undefined;
    for (const { name, pattern } of this.#patterns) {
      const work = workFor(text.length);
      for (let from = text.indexOf(pattern.prefix); from !== -1;) {
        const { to, fits } = matchAt(text, from, pattern, work);
        if (fits) (found ??= []).push({ from, to, name });
        from = text.indexOf(pattern.prefix, fits ? to : from + 1);
      }
    }
    return found === undefined ? undefined : joined(found);
  }

  openFrom(text: string): number {
    return Math.min(text.length, ...this.#patterns.map(({ pattern }) => openFrom(text, pattern)));
  }
}

/** Several searches as one. */
export class JoinedSearch implements Search {
  readonly #searches: readonly Search[];
  readonly longest: number;

  constructor(searches: Iterable<Search>) {
    this.#searches = [...searches];
    this.longest = Math.max(...this.#searches.map(({ longest }) => longest));
  }

  spansIn(text: string): Span[] | undefined {
    let found: Span[] | undefined;
    for (const search of this.#searches) {
      const spans = search.spansIn(text);
      if (spans !== undefined) found = found === undefined ? spans : joined([...found, ...spans]);
    }
    return found;
  }

  openFrom(text: string): number {
    return Math.min(...this.#searches.map((search) => search.openFrom(text)));
  }
}

/** Characters that may still be looked at. */
interface Work {
  left: number;
}

/** A text that was not made for it needs less than one look at each character. */
function workFor(characters: number): Work {
  return { left: 8 * characters + matchCharactersMax };
}

interface Match {
  readonly to: number;
  readonly fits: boolean;
}

function matchAt(text: string, from: number, { prefix, steps, charactersMax }: SecretPattern, work: Work): Match {
  const end = Math.min(text.length, from + charactersMax);
  let to = from + prefix.length;
  for (const { fits, min, max } of steps) {
    const last = Math.min(end, to + max);
    const begin = to;
    while (to < last && fits(text[to] ?? "")) to += 1;
    work.left -= to - begin + 1;
    if (work.left < 0) return { to: text.length, fits: true };
    if (to - begin < min) return { to, fits: false };
  }
  return { to, fits: true };
}

/** Where something begins that more text would make, or lengthen to, a match. */
function openFrom(text: string, pattern: SecretPattern): number {
  const { prefix, charactersMax } = pattern;
  const work = workFor(charactersMax);
  const first = Math.max(0, text.length - charactersMax + 1);
  for (let from = text.indexOf(prefix, first); from !== -1; from = text.indexOf(prefix, from + 1)) {
    if (matchAt(text, from, pattern, work).to === text.length) return from;
  }
  for (let length = Math.min(prefix.length - 1, text.length); length > 0; length -= 1) {
    if (text.endsWith(prefix.slice(0, length))) return text.length - length;
  }
  return text.length;
}

function joined(spans: readonly Span[]): Span[] {
  const inOrder = spans.toSorted((one, other) => one.from - other.from || other.to - one.to);
  const merged: Span[] = [];
  for (const span of inOrder) {
    const last = merged.at(-1);
    if (last === undefined || span.from > last.to) merged.push(span);
    else if (span.to > last.to) merged[merged.length - 1] = { ...last, to: span.to };
  }
  return merged;
}
