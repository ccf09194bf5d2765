import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { OutputCursor } from "./output-cursor.ts";

// Goal: P5, whatever overlaps and holes a stream that begins again has, every byte is printed once or counted as missing.
// Method: random stretches of one known output, in the order a stream may have; the printed parts are compared with the whole.
test("P5: printed and missing bytes together are the output, in order and once", () => {
  const whole = Buffer.from(Array.from({ length: 200 }, (_, index) => index));
  const stretch = fc.tuple(fc.nat(180), fc.integer({ min: 1, max: 20 }), fc.boolean());
  fc.assert(
    fc.property(fc.array(stretch, { maxLength: 30 }), (stretches) => {
      const cursor = new OutputCursor();
      let at = 0;
      for (const [position, length, isGap] of stretches) {
        if (isGap) at += cursor.skip(position, length);
        else {
          const data = whole.subarray(position, position + length).toString("base64");
          const output = {
            command_id: "c",
            stream: "stdout" as const,
            offset: 0,
            position,
            data,
            encoding: "base64" as const,
          };
          const { bytes, missing } = cursor.take(output);
          at += missing;
          assert.ok(bytes.equals(whole.subarray(at, at + bytes.length)));
          at += bytes.length;
        }
        assert.equal(cursor.position, at);
      }
    }),
  );
});
