/** Goal: X4: what fits a pattern of the operator is replaced, whole or in pieces, and no text makes the search slow. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { parseSecretPattern } from "@hl/config/secret-pattern.ts";
import { ManualClock } from "@hl/testkit/manual-clock.ts";
import { PatternSearch } from "./pattern-search.ts";
import { Redactor } from "./redactor.ts";
import { bareMark, Secrets } from "./secrets.ts";

const named = (...sources: string[]): { name: string; pattern: ReturnType<typeof parseSecretPattern> }[] =>
  sources.map((source, at) => ({ name: `P${at}`, pattern: parseSecretPattern(source) }));

describe("patterns of secrets", () => {
  test("X4: replaced in any text, beside known secrets", () => {
    const secrets = new Secrets(new ManualClock());
    secrets.lookFor(named("AKIA[0-9A-Z]{16}", "eyJ[\\w-]+\\.[\\w-]+\\.[\\w-]+"));
    const redactor = new Redactor(secrets);
    const jwt = `eyJ${"a".repeat(1_500)}.b-c.d_e`;
    const text = `key AKIA0123456789ABCDEF, token ${jwt}; AKIA012 is none`;
    assert.equal(redactor.redactText(text), "key [redacted:P0], token [redacted:P1]; AKIA012 is none");
    secrets.holdValues("o", { KNOWN: "a-known-one" });
    assert.deepEqual(redactor.redact({ [text]: ["a-known-one", 1] }), {
      "key [redacted:P0], token [redacted:P1]; AKIA012 is none": ["[redacted:KNOWN]", 1],
    });
  });

  test("finds what a regular expression finds whose counts give nothing back", () => {
    const source = fc.constantFrom("aab[ab]{3}", "aaa[ab]{3,}b?c", "aba[a-c]{3,4}", "aab.{3,5}");
    const text = fc.string({ unit: fc.constantFrom("a", "b", "c", "\n"), maxLength: 40 });
    fc.assert(
      fc.property(source, text, (pattern, haystack) => {
        const spans = new PatternSearch(named(pattern)).spansIn(haystack) ?? [];
        const marked = spans.map(({ from, to }) => haystack.slice(from, to)).join("");
        // A class beside what follows it has nothing to give back here, but for `[ab]{3,}b?`, whose last is never needed.
        const expected = [...haystack.matchAll(new RegExp(pattern, "g"))].map(([match]) => match).join("");
        assert.equal(marked, expected);
      }),
      { numRuns: 3_000 },
    );
  });

  test("X4: the same in pieces as in the whole", () => {
    const secrets = new Secrets(new ManualClock());
    secrets.lookFor(named("tok_[a-c]{3,6}", "abc-[ab]+;"));
    secrets.holdValues("o", { KNOWN: "b-token" });
    const redactor = new Redactor(secrets);
    const part = fc.constantFrom("tok_", "abc-", "abca", ";", "b-token", "tok_ab", "-", "x", "abbc");
    let compared = 0;
    fc.assert(
      fc.property(fc.array(part, { maxLength: 10 }), fc.array(fc.nat(50), { maxLength: 6 }), (parts, cuts) => {
        const text = parts.join("");
        const at = [0, ...cuts.map((cut) => Math.min(cut, text.length)).sort((a, b) => a - b), text.length];
        const stream = redactor.stream();
        const pieces = at.slice(1).map((to, index) => stream.push(text.slice(at[index], to)));
        const out = pieces.join("") + stream.end();
        const whole = redactor.redactText(text);
        assert.equal(redactor.holdsSecret(out), false, `${text} gave ${out}`);
        if (whole.includes(bareMark) || out.includes(bareMark)) return;
        compared += 1;
        assert.equal(out, whole);
      }),
      { numRuns: 3_000 },
    );
    assert.ok(compared > 1_500, `${compared} were compared`);
  });

  test("a text that begins a match everywhere costs no more than its length, and fails closed", () => {
    let looks = 0;
    const pattern = parseSecretPattern("aaa[a-z]{3,};");
    const counting = {
      ...pattern,
      steps: pattern.steps.map((step) => ({ ...step, fits: (one: string) => (looks += 1) > 0 && step.fits(one) })),
    };
    const text = "a".repeat(100_000);
    const spans = new PatternSearch([{ name: "P", pattern: counting }]).spansIn(text);
    assert.ok(looks < 9 * text.length, `${looks} looks`);
    assert.equal(spans?.at(-1)?.to, text.length);
    looks = 0;
    new PatternSearch([{ name: "P", pattern: counting }]).openFrom(text);
    assert.ok(looks < 9 * 4_096 + 4_096, `${looks} looks`);
  });
});
