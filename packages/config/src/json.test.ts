import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { lineAndColumn, NESTING_MAX, parseJson } from "./json.ts";

const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value));

describe("parseJson", () => {
  // Goal: it accepts what JSON.parse accepts, with the same value. Method: any JSON value, with random white space.
  it("reads what JSON.parse reads", () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 5 }), fc.constantFrom(0, 1, 4), (value, indent) => {
        const text = JSON.stringify(value, null, indent);
        const document = parseJson(text);
        assert.deepEqual(document.problems, []);
        assert.deepEqual(plain({ value: document.value }), { value: JSON.parse(text) as unknown });
      }),
      { numRuns: 300 },
    );
  });

  // Goal: it refuses what JSON.parse refuses. Method: valid texts with one character replaced, removed or added.
  it("refuses what JSON.parse refuses, and never throws", () => {
    const damage = fc.record({
      at: fc.nat(),
      remove: fc.nat(1),
      insert: fc.constantFrom("", "{", "]", '"', ",", "\\", "0", "\n", "\u0000", "t"),
    });
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 4 }), damage, (value, { at, remove, insert }) => {
        const text = JSON.stringify(value);
        const index = at % (text.length + 1);
        const damaged = text.slice(0, index) + insert + text.slice(index + remove);
        let valid = true;
        try {
          JSON.parse(damaged);
        } catch {
          valid = false;
        }
        const stops = parseJson(damaged).problems.filter(({ message }) => !message.includes("twice"));
        assert.equal(stops.length === 0, valid, damaged);
      }),
      { numRuns: 1000 },
    );
  });

  it("says line and column of an error, and what was expected", () => {
    const cases: [string, number, number, RegExp, RegExp?][] = [
      ['{\n  "a": 1,\n}', 2, 9, /comma before "}"/, /remove/],
      ['{\n  "a": 1\n  "b": 2\n}', 3, 3, /"\\"" where "," or "}"/],
      ['{\n  // why\n  "a": 1}', 2, 3, /"\/" where a key in double quotes/, /"\/\/ why"/],
      ["{'a': 1}", 1, 2, /"'" where a key/],
      ['{"a": tru}', 1, 7, /"t" where a value/],
      ['{"a": 1} x', 1, 10, /text after the end/],
      ['{"a": ', 1, 7, /ends where a value/],
      ['{"a": "b\n"}', 1, 7, /string that does not end/],
      ['{"a": "\\x"}', 1, 7, /invalid escape/],
      ['{"a": 01}', 1, 8, /"1" where "," or "}"/],
    ];
    for (const [text, line, column, message, hint] of cases) {
      const [problem] = parseJson(text).problems;
      assert.ok(problem, text);
      assert.deepEqual(lineAndColumn(text, problem.offset), { line, column }, text);
      assert.match(problem.message, message);
      if (hint !== undefined) assert.match(problem.suggestion ?? "", hint);
    }
  });

  it("reports duplicate keys with their place, but not repeated comments", () => {
    const { problems } = parseJson('{"a": {"b": 1, "b": 2, "// x": 1, "// x": 2}, "a": 3}');
    assert.deepEqual(
      problems.map(({ path, offset }) => ({ path, offset })),
      [
        { path: ["a", "b"], offset: 15 },
        { path: ["a"], offset: 46 },
      ],
    );
  });

  it(`stops at ${NESTING_MAX} levels`, () => {
    const nested = (levels: number): string => "[".repeat(levels) + "]".repeat(levels);
    assert.deepEqual(parseJson(nested(NESTING_MAX)).problems, []);
    assert.deepEqual(parseJson(`${'{"a":'.repeat(NESTING_MAX)}1${"}".repeat(NESTING_MAX)}`).problems, []);
    assert.match(parseJson(nested(NESTING_MAX + 2)).problems[0]?.message ?? "", /nested deeper/);
    assert.match(parseJson("[".repeat(500_000)).problems[0]?.message ?? "", /nested deeper/);
  });

  it("takes __proto__ and constructor for plain keys", () => {
    const { value } = parseJson('{"__proto__": {"polluted": true}, "constructor": 1}');
    assert.deepEqual(Object.keys(value as object), ["__proto__", "constructor"]);
    assert.equal(({} as { polluted?: boolean }).polluted, undefined);
  });

  it("reads a string of a megabyte", () => {
    const long = "x".repeat(1_000_000);
    assert.equal(parseJson(JSON.stringify(`${long}\n${long}`)).value, `${long}\n${long}`);
  });
});
