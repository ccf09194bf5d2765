/**
 * Goal: P6: what a caller sends as `data` is the bytes that it means, or it is refused. Method: bytes and text made at random go both ways; what is
 * neither base64 nor whole text is refused with where the mistake is and what to do.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { bytesOf } from "./data-bytes.ts";
import { HlError } from "./errors.ts";

test("P6: any bytes as base64 and any whole text as utf8 are those bytes", () => {
  const bytes = fc.uint8Array().map((array) => Buffer.from(array));
  fc.assert(fc.property(bytes, (given) => bytesOf(given.toString("base64"), "base64").equals(given)));
  const text = fc.string({ unit: "binary" });
  fc.assert(fc.property(text, (given) => bytesOf(given, "utf8").toString("utf8") === given));
});

test("P6: what is no base64, and text with half a surrogate pair, is refused", () => {
  const rows: [data: string, encoding: "utf8" | "base64", said: RegExp][] = [
    ["!!!!", "base64", /^data: "!!!!" is not base64 .*encoding utf8/],
    ["YQ", "base64", /"YQ" is not base64/],
    ["YQ==YQ==", "base64", /is not base64/],
    ["YQ==\n", "base64", /is not base64/],
    ["-_-_", "base64", /is not base64/],
    ["a\ud800b", "utf8", /^data: half a surrogate pair \("\\ud800"\) at 1 .*encoding base64/],
    ["\u{1f600}\ude00", "utf8", /\("\\ude00"\) at 2 /],
  ];
  for (const [data, encoding, said] of rows) {
    assert.throws(
      () => bytesOf(data, encoding),
      (error: unknown) => {
        assert.ok(error instanceof HlError && error.type === "invalid_params", String(error));
        assert.match(error.message, said);
        return true;
      },
    );
  }
});
