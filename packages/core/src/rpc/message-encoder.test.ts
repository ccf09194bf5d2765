import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { MessageEncoder } from "./message-encoder.ts";

// Goal: P6, P7: what is written is exactly the text and a newline, and a buffer is never used again before it was released.
// Method: random texts around the sizes where the kind of buffer changes, held and released at random.
test("P6: lines are exact whatever is encoded while they are held", () => {
  const size = fc.oneof(fc.constantFrom(0, 1, 1023, 1024, 131_070, 131_071, 131_072, 131_073), fc.nat(3_000));
  const step = fc.record({ size, character: fc.constantFrom("a", "é", "€", "😀", "\0"), hold: fc.nat(6) });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 20 }), (steps) => {
      const encoder = new MessageEncoder("\n");
      const held: { text: string; line: ReturnType<MessageEncoder["encode"]> }[] = [];
      const check = (): void => {
        const first = held.shift();
        if (first === undefined) return;
        assert.equal(first.line.bytes.toString("utf8"), `${first.text}\n`);
        first.line.release();
      };
      for (const { size: length, character, hold } of steps) {
        const text = character.repeat(length);
        held.push({ text, line: encoder.encode(text) });
        while (held.length > hold) check();
      }
      while (held.length > 0) check();
    }),
    { numRuns: 100 },
  );
});

test("P7: a released buffer is used again", () => {
  const encoder = new MessageEncoder("\n");
  const first = encoder.encode("x".repeat(50_000));
  const { buffer } = first.bytes;
  first.release();
  assert.equal(encoder.encode("y".repeat(60_000)).bytes.buffer, buffer);
});
