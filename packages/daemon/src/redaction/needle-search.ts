export interface Needle {
  /** Two characters or more. */
  readonly text: string;
  readonly name: string;
}

/** From a character to the one behind; `name` is the needle's that begins first. */
export interface Span {
  readonly from: number;
  readonly to: number;
  readonly name: string;
}

/** Looks for all secrets at once. */
export interface Search {
  /** Where they are, in order; those that overlap or touch are one span. Undefined where there are none. */
  spansIn(text: string): Span[] | undefined;
  /** Where the end of the text may be the beginning of one; the text's length where it is of none. The earliest such place. */
  openFrom(text: string): number;
  /** Characters of the longest. */
  readonly longest: number;
}

interface SortedNeedle extends Needle {
  /** Index of the longest other needle that this one begins with. */
  readonly inner: number | undefined;
}

/** A longer look costs more to prepare than it saves. */
const windowMax = 16;
const pairs = 65_536;

/**
 * Finds many needles in one pass over a text (Wu and Manber): what may end at a character is looked at only where the last two
 * characters of a window occur in a needle; all else is skipped in steps of up to a window. Which needle it is, is found in the sorted
 * list, so that many with one beginning cost as little as one.
 */
export class NeedleSearch implements Search {
  readonly #sorted: readonly SortedNeedle[];
  readonly #window: number;
  readonly longest: number;
  /** By the last two characters of a window: how far it may move. 0 where a needle may begin with it. */
  readonly #steps: Uint8Array;

  constructor(needles: Iterable<Needle>) {
    this.#sorted = sorted(needles);
    this.#window = this.#sorted.reduce((least, { text }) => Math.min(least, text.length), windowMax);
    this.longest = this.#sorted.reduce((most, { text }) => Math.max(most, text.length), 0);
    this.#steps = new Uint8Array(pairs).fill(this.#window - 1);
    for (const { text } of this.#sorted) {
      for (let at = 0; at + 1 < this.#window; at += 1) {
        const pair = pairAt(text, at);
        this.#steps[pair] = Math.min(this.#steps[pair] ?? 0, this.#window - 2 - at);
      }
    }
  }

  openFrom(text: string): number {
    for (let from = Math.max(0, text.length - this.longest + 1); from < text.length; from += 1) {
      if (this.#isBeginning(text.slice(from))) return from;
    }
    return text.length;
  }

  get size(): number {
    return this.#sorted.length;
  }

  spansIn(text: string): Span[] | undefined {
    if (this.#sorted.length === 0) return undefined;
    let spans: Span[] | undefined;
    const end = text.length - 1;
    for (let at = this.#window - 2; at < end;) {
      const step = this.#steps[pairAt(text, at)] ?? 1;
      if (step > 0) {
        at += step;
        continue;
      }
      const from = at - this.#window + 2;
      const found = this.#longestAt(text, from);
      if (found !== undefined) add((spans ??= []), { from, to: from + found.text.length, name: found.name });
      at += 1;
    }
    return spans;
  }

  /** Whether a longer needle begins so: it would be the first that is not before it in order. */
  #isBeginning(text: string): boolean {
    let low = 0;
    let high = this.#sorted.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#sorted[middle]?.text ?? "") <= text) low = middle + 1;
      else high = middle;
    }
    return this.#sorted[low]?.text.startsWith(text) ?? false;
  }

  /** The greatest needle that is not behind the text in order begins with every needle that the text begins with. */
  #longestAt(text: string, from: number): SortedNeedle | undefined {
    let low = 0;
    let high = this.#sorted.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const needle = this.#sorted[middle]?.text ?? "";
      if (needle <= text.slice(from, from + needle.length)) low = middle + 1;
      else high = middle;
    }
    let needle = this.#sorted[low - 1];
    while (needle !== undefined && !text.startsWith(needle.text, from))
      needle = needle.inner === undefined ? undefined : this.#sorted[needle.inner];
    return needle;
  }
}

function sorted(needles: Iterable<Needle>): SortedNeedle[] {
  const byText = new Map<string, string>();
  for (const { text, name } of needles) if (!byText.has(text)) byText.set(text, name);
  const texts = [...byText.keys()].sort((one, other) => (one < other ? -1 : 1));
  const chain: number[] = []; // Each begins with the one before it.
  return texts.map((text, index) => {
    while (chain.length > 0 && !text.startsWith(texts[chain.at(-1) ?? 0] ?? "")) chain.pop();
    const inner = chain.at(-1);
    chain.push(index);
    return { text, name: byText.get(text) ?? "", inner };
  });
}

function add(spans: Span[], span: Span): void {
  const last = spans.at(-1);
  if (last === undefined || span.from > last.to) spans.push(span);
  else if (span.to > last.to) spans[spans.length - 1] = { ...last, to: span.to };
}

/** Two characters as a number; others than Latin ones may share theirs, which costs a look. */
function pairAt(text: string, at: number): number {
  return ((text.charCodeAt(at) << 8) ^ text.charCodeAt(at + 1)) & (pairs - 1);
}
