/** Goal: a pattern means what the regular expression of the same text means, as far as it is taken at all; everything else is refused with the reason. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { parseSecretPattern } from "./secret-pattern.ts";

test("what is taken: a beginning of fixed characters, then characters, escapes and classes with counts", () => {
  const { prefix, steps, charactersMax } = parseSecretPattern("AKIA[0-9A-Z]{16}");
  assert.deepEqual([prefix, charactersMax, steps.length], ["AKIA", 20, 1]);
  const [step] = steps;
  const fitting = Array.from("09AZaz-][").filter((one) => step?.fits(one));
  assert.deepEqual([fitting, step?.min, step?.max], [["0", "9", "A", "Z"], 16, 16]);
  assert.equal(parseSecretPattern("a\\.b/c-d[^x]{3}").prefix, "a.b/c-d");
  assert.deepEqual(
    parseSecretPattern("abc\\d?\\w*\\s+.{2,3}[\\]\\-x]{5,}").steps.map(({ min, max }) => [min, max]),
    [
      [0, 1],
      [0, 4_096],
      [1, 4_096],
      [2, 3],
      [5, 4_096],
    ],
  );
});

test("a class means what it means in a regular expression", () => {
  for (const set of ["a-c", "^a-c", "a\\-c", "-a", "a-", "\\d", "^\\w", "\\]x", "\\\\", "x\\s", "é-ü", "+-9"]) {
    const [step] = parseSecretPattern(`abc[${set}]{3}`).steps;
    const expression = new RegExp(`[${set}]`);
    const characters = [...Array(256).keys()]
      .map((code) => String.fromCharCode(code))
      .filter((one) => !/[\v\f\u00a0]/.test(one));
    for (const one of characters)
      assert.equal(step?.fits(one), expression.test(one), `[${set}] and ${JSON.stringify(one)}`);
  }
});

test("what is refused says why", () => {
  for (const [source, why] of [
    ["", /begin with 3/],
    ["ab\\d{9}", /begin with 3/],
    ["\\d{9}", /begin with 3/],
    ["abcde", /no less than 6/],
    ["abc\\d*", /no less than 6/],
    ["abc\\d{4094}", /4096 characters or fewer/],
    ["abc(de)+", /\( is not possible/],
    ["abc|defghi", /\| is not possible/],
    ["^abcdef", /\^ is not possible/],
    ["abcdef$", /\$ is not possible/],
    ["abcdef\\b", /\\b is not known/],
    ["abcdef\\1", /\\1 is not known/],
    ["abcdef\\", /is not known/],
    ["abcdef[x", /not closed/],
    ["abcdef[]", /no characters/],
    ["abcdef[z-a]", /wrong way round/],
    ["abcdef{2", /a count is/],
    ["abcdef{3,2}", /fits nothing/],
    ["abcdef{0}", /fits nothing/],
    ["abcdef++", /\+ is not possible/],
  ] as const)
    assert.throws(
      () => parseSecretPattern(source),
      (error) => error instanceof SyntaxError && why.test(error.message),
      source,
    );
});
