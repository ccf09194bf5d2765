import assert from "node:assert/strict";
import { test } from "node:test";
import { HlError } from "@hl/protocol/errors.ts";
import { ErrorRate } from "./error-rate.ts";

test("the share of requests that failed by our fault, of a round with at least 20; what callers do wrong is none", () => {
  const rate = new ErrorRate();
  const calls = (count: number, error?: unknown): void => {
    for (let n = 0; n < count; n += 1) rate.call({ error });
  };
  calls(10, new Error("a bug"));
  calls(9);
  assert.equal(rate.take(), 0, "19 requests are too few");
  calls(1, new Error("a bug"));
  calls(1, new HlError("store_failing", "x"));
  calls(8, new HlError("permission_denied", "x"));
  calls(10);
  assert.equal(rate.take(), 0.1);
  assert.equal(rate.take(), 0, "a round counts for itself");
});
