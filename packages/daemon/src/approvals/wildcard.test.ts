/** Goal: `*` and nothing else has a meaning. Method: examples, and the regular expression that says the same. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { fitsWildcard } from "./wildcard.ts";

test("the same as the regular expression, with and without characters that no star stands for", () => {
  const texts = fc.string({ unit: fc.constantFrom("a", "b", ";", "."), maxLength: 12 });
  const patterns = fc.string({ unit: fc.constantFrom("a", "b", ";", ".", "*"), maxLength: 8 });
  fc.assert(
    fc.property(texts, patterns, (text, pattern) => {
      const literal = pattern.replaceAll(".", "\\.");
      assert.equal(fitsWildcard(text, pattern), new RegExp(`^${literal.replaceAll("*", "[^]*")}$`).test(text));
      const narrow = new RegExp(`^${literal.replaceAll("*", "[^;]*")}$`).test(text);
      assert.equal(fitsWildcard(text, pattern, /;/), narrow);
    }),
    { numRuns: 2_000 },
  );
});

test("P7: a text that nearly fits in very many ways is judged all the same", () => {
  assert.equal(fitsWildcard("a".repeat(1_000_000), `${"*a".repeat(1_000)}*b`), false);
});
