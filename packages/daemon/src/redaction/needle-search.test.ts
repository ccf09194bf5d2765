/** Goal: every needle is found, wherever it is. Method: compared with a search that looks everywhere. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { NeedleSearch, type Span } from "./needle-search.ts";

function everywhere(needles: readonly string[], text: string): Pick<Span, "from" | "to">[] | undefined {
  const marked = Array.from(text, () => false);
  for (const needle of needles) {
    for (let at = text.indexOf(needle); at !== -1; at = text.indexOf(needle, at + 1)) {
      marked.fill(true, at, at + needle.length);
    }
  }
  const spans: { from: number; to: number }[] = [];
  for (const [at, isMarked] of marked.entries()) {
    if (!isMarked) continue;
    const last = spans.at(-1);
    if (last?.to === at) last.to = at + 1;
    else spans.push({ from: at, to: at + 1 });
  }
  return spans.length === 0 ? undefined : spans;
}

describe("needle search", () => {
  test("finds what a search that looks everywhere finds", () => {
    const text = (minLength: number, maxLength: number): fc.Arbitrary<string> =>
      fc.string({ unit: fc.constantFrom("a", "b", "c", "é", "\u{4e2d}"), minLength, maxLength });
    fc.assert(
      fc.property(fc.array(text(2, 20), { minLength: 1, maxLength: 8 }), text(0, 80), (needles, haystack) => {
        const search = new NeedleSearch(needles.map((needle) => ({ text: needle, name: needle })));
        const spans = search.spansIn(haystack)?.map(({ from, to }) => ({ from, to }));
        assert.deepEqual(spans, everywhere(needles, haystack));
      }),
      { numRuns: 3_000 },
    );
  });

  test("of two that begin at one place the longer one is found", () => {
    const search = new NeedleSearch(["abcdef", "abcdefgh", "abcdefx"].map((text) => ({ text, name: text })));
    assert.deepEqual(search.spansIn("-abcdefgi abcdefgh"), [
      { from: 1, to: 7, name: "abcdef" },
      { from: 10, to: 18, name: "abcdefgh" },
    ]);
  });

  test("without a needle nothing is found", () => assert.equal(new NeedleSearch([]).spansIn("text"), undefined));
});
