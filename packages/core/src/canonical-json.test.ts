/** Goal: the order of keys makes no difference and everything else does. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { canonicalJson } from "./canonical-json.ts";

test("keys are sorted at every level, lists keep their order", () => {
  const text = '{"b":[{"d":1,"c":null},"x"],"a":{"__proto__":2,"é":"\\n"}}';
  assert.equal(canonicalJson(JSON.parse(text)), '{"a":{"__proto__":2,"é":"\\n"},"b":[{"c":null,"d":1},"x"]}');
  assert.notEqual(canonicalJson([1, 2]), canonicalJson([2, 1]));
  assert.notEqual(canonicalJson({ a: "1" }), canonicalJson({ a: 1 }));
});

test("it is JSON and says the same as what it was made of", () => {
  fc.assert(
    fc.property(fc.json(), (text) => {
      const value: unknown = JSON.parse(text);
      assert.deepEqual(JSON.parse(canonicalJson(value)), value);
    }),
  );
});
