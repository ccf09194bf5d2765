import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { EscapeKeys } from "./escape-keys.ts";

// Goal: only `~.` at the beginning of a line leaves, `~~` there is one tilde, and everything else passes untouched however it is cut.
const cases: readonly [typed: string, program: string, leaves: number][] = [
  ["~.", "", 1],
  ["a~.\r~.b", "a~.\rb", 1],
  ["\r~~.", "\r~.", 0],
  ["~x\n~y", "~x\n~y", 0],
  ["~\r~.", "~\r", 1],
  ["~.~.", "", 2],
  ["\x03~.", "\x03~.", 0],
];
for (const [typed, program, leaves] of cases) {
  test(`typed ${JSON.stringify(typed)} the program gets ${JSON.stringify(program)}`, () => {
    for (let cut = 0; cut <= typed.length; cut += 1) {
      let left = 0;
      const keys = new EscapeKeys(() => (left += 1));
      const got = [typed.slice(0, cut), typed.slice(cut)].map((part) => keys.take(Buffer.from(part)).toString());
      assert.deepEqual([got.join(""), left], [program, leaves]);
    }
  });
}

test("P6: any bytes without a tilde pass untouched", () => {
  fc.assert(
    fc.property(fc.uint8Array(), (bytes) => {
      const typed = Buffer.from(bytes.map((byte) => (byte === 0x7e ? 0 : byte)));
      assert.deepEqual(new EscapeKeys(() => assert.ok(false)).take(typed), typed);
    }),
  );
});
