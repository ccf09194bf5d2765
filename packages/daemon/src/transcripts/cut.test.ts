/** Goal: P7, S2: whatever an agent says, its event has a largest size, and says how much is missing. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { cutToFit } from "./cut.ts";

const bytesOf = (value: unknown): number => Buffer.byteLength(JSON.stringify(value));

test("what fits exactly is left as it is; one byte more is cut", () => {
  const data = { content: "x".repeat(1_000) };
  const bytes = bytesOf(data);
  assert.deepEqual(cutToFit(data, bytes), { data, omittedBytes: 0 });
  const { data: cut, omittedBytes } = cutToFit(data, bytes - 1);
  assert.match((cut as { content: string }).content, /^x+… \[\d+ more characters\]$/);
  assert.equal(omittedBytes, bytes - bytesOf(cut));
});

test("an answer of 5 MB keeps its beginning, and the small texts beside it stay whole", () => {
  const text = "word ".repeat(1_000_000);
  const { data, omittedBytes } = cutToFit({ text, thinking: "short" }, 65_536);
  const cut = data as { text: string; thinking: string };
  assert.equal(cut.thinking, "short");
  assert.ok(cut.text.startsWith("word word ") && bytesOf(data) <= 65_536 && bytesOf(data) > 16_384);
  assert.ok(omittedBytes > 4_900_000);
});

test("what is large without long texts becomes the beginning of its JSON", () => {
  const list = Array.from({ length: 100_000 }, (_, at) => at);
  const { data, omittedBytes } = cutToFit(list, 4_096);
  assert.match((data as { json: string }).json, /^\[0,1,2,/);
  assert.ok(bytesOf(data) <= 4_096 && omittedBytes > 400_000);
});

test("only the largest members do: what stands beside them is left as it is", () => {
  const many = Array.from({ length: 900 }, (_, at) => ({ tool_name: "Bash", tool_input: { command: `ls ${at}` } }));
  const small = { turn: 7, is_error: true, usage: { input_tokens: 3 }, none: undefined };
  for (const max of [1_024, 16_384]) {
    const { data, omittedBytes } = cutToFit({ ...small, denials: many, more: many }, max);
    const { denials, more, ...rest } = data as Record<string, unknown>;
    assert.deepEqual(rest, small);
    const heads = JSON.stringify([denials, more]);
    assert.ok(heads.includes("tool_name") && bytesOf(data) <= max && omittedBytes > 50_000);
  }
});

test("any value fits afterwards, is well-formed, and tells that it was cut", () => {
  fc.assert(
    fc.property(
      fc.jsonValue(),
      fc.integer({ min: 512, max: 4_096 }),
      fc.integer({ min: 1, max: 2_000 }),
      (value, max, times) => {
        const data = { value, text: `${JSON.stringify(value)}\u0000😀"`.repeat(times) };
        const { data: cut, omittedBytes } = cutToFit(data, max);
        assert.ok(bytesOf(cut) <= max);
        assert.equal(omittedBytes > 0, bytesOf(data) > max);
        assert.ok(JSON.stringify(cut).isWellFormed());
      },
    ),
    { numRuns: 200 },
  );
});
