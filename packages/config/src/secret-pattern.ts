/**
 * Patterns of secrets in `redaction.patterns`: the part of regular expressions that a text is searched for in time that grows with its length only,
 * whatever the pattern and the text. A sequence of characters, escapes and classes, each with a count; no groups, alternatives, anchors or
 * references. It begins with fixed characters, which are what is looked for.
 */

/** So many of these characters, one after the other: as many as there are, and none is given back. */
export interface PatternStep {
  readonly fits: (character: string) => boolean;
  readonly min: number;
  readonly max: number;
}

export interface SecretPattern {
  /** What every match begins with. */
  readonly prefix: string;
  readonly steps: readonly PatternStep[];
  /** Characters of the longest match. */
  readonly charactersMax: number;
}

/** Fewer fixed characters would make every second word a candidate. */
export const patternPrefixMin = 3;
/** Shorter matches are words of every text. */
export const matchCharactersMin = 6;
/** What `+` and `*` stand for at most, and a whole match too: of a longer secret its first characters are found. */
export const matchCharactersMax = 4_096;

const escapes: Readonly<Record<string, string>> = { d: "0-9", w: "A-Za-z0-9_", s: " \t\n\r" };
const special = /[\\^$.*+?()[\]{}|/]/;

/** Throws a `SyntaxError` that says what is wrong with it. */
export function parseSecretPattern(source: string): SecretPattern {
  const steps: PatternStep[] = [];
  let prefix = "";
  let isPrefix = true;
  for (let at = 0; at < source.length;) {
    const { fits, literal, next } = atomAt(source, at);
    const { min, max, next: behind } = countAt(source, next);
    at = behind;
    isPrefix &&= literal !== undefined && min === 1 && max === 1;
    if (isPrefix) prefix += literal ?? "";
    else steps.push({ fits, min, max });
  }
  const least = prefix.length + steps.reduce((sum, { min }) => sum + min, 0);
  const most = prefix.length + steps.reduce((sum, { max }) => sum + max, 0);
  if (prefix.length < patternPrefixMin)
    throw new SyntaxError(`must begin with ${patternPrefixMin} fixed characters or more`);
  if (least < matchCharactersMin) throw new SyntaxError(`must match no less than ${matchCharactersMin} characters`);
  if (least > matchCharactersMax) throw new SyntaxError(`must match ${matchCharactersMax} characters or fewer`);
  return { prefix, steps, charactersMax: Math.min(most, matchCharactersMax) };
}

interface Atom {
  readonly fits: (character: string) => boolean;
  readonly literal?: string | undefined;
  readonly next: number;
}

function atomAt(source: string, at: number): Atom {
  const one = source[at] ?? "";
  if (one === "\\") {
    const name = source[at + 1] ?? "";
    const set = escapes[name];
    if (set !== undefined) return { fits: setOf(set, false), next: at + 2 };
    if (!special.test(name) && name !== "-") throw new SyntaxError(`\\${name} is not known; \\d, \\w and \\s are`);
    return { ...literalOf(name), next: at + 2 };
  }
  if (one === "[") return classAt(source, at);
  if (one === ".") return { fits: (character) => character !== "\n", next: at + 1 };
  if (special.test(one) && one !== "/")
    throw new SyntaxError(`${one} is not possible here; write \\${one} for the character`);
  return { ...literalOf(one), next: at + 1 };
}

function literalOf(one: string): Omit<Atom, "next"> {
  return { fits: (character) => character === one, literal: one };
}

function classAt(source: string, from: number): Atom {
  const isNegated = source[from + 1] === "^";
  let set = "";
  for (let at = from + (isNegated ? 2 : 1); at < source.length; at += 1) {
    const one = source[at] ?? "";
    if (one === "]") {
      if (set === "") throw new SyntaxError("a class of no characters");
      return { fits: setOf(set, isNegated), next: at + 1 };
    }
    if (one !== "\\") {
      set += one;
      continue;
    }
    at += 1;
    const escaped = source[at] ?? "";
    set += escapes[escaped] ?? `\\${escaped}`;
  }
  throw new SyntaxError("a class that is not closed by ]");
}

/** A test of one character is over at once, whatever the set; `-` between two makes a range, a backslash takes its meaning away. */
function setOf(set: string, isNegated: boolean): (character: string) => boolean {
  const ranges: [string, string][] = [];
  const items = Array.from(set.matchAll(/\\(.)|(.)/gs), ([, escaped, plain]) => ({
    text: escaped ?? plain ?? "",
    isRange: plain === "-",
  }));
  for (let at = 0; at < items.length; at += 1) {
    const first = items[at]?.text ?? "";
    const last = items[at + 1]?.isRange === true ? items[at + 2]?.text : undefined;
    if (last === undefined) {
      ranges.push([first, first]);
      continue;
    }
    if (last < first) throw new SyntaxError(`the range ${first}-${last} is the wrong way round`);
    ranges.push([first, last]);
    at += 2;
  }
  return (character) => ranges.some(([low, high]) => character >= low && character <= high) !== isNegated;
}

function countAt(source: string, at: number): { readonly min: number; readonly max: number; readonly next: number } {
  const one = source[at];
  if (one === "?") return { min: 0, max: 1, next: at + 1 };
  if (one === "+") return { min: 1, max: matchCharactersMax, next: at + 1 };
  if (one === "*") return { min: 0, max: matchCharactersMax, next: at + 1 };
  if (one !== "{") return { min: 1, max: 1, next: at };
  const [all, low = "", comma, high = ""] = /^\{(\d{1,4})(,?)(\d{0,4})\}/.exec(source.slice(at)) ?? [];
  if (all === undefined || (comma === "" && high !== "")) throw new SyntaxError("a count is {n}, {n,} or {n,m}");
  const min = Number(low);
  const max = comma === "" ? min : high === "" ? matchCharactersMax : Number(high);
  if (max < min || max === 0) throw new SyntaxError(`the count ${all} fits nothing`);
  return { min, max: Math.min(max, matchCharactersMax), next: at + all.length };
}
