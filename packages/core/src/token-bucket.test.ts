/** Goal: who reserves waits exactly as long as the rate says, in order, and a place that is given back is the next one's. Method: arithmetic. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { TokenBucket } from "./token-bucket.ts";

test("reserved tokens come one after the other at the rate, and one that is given back shortens the queue", () => {
  const bucket = new TokenBucket({ perSecond: 10, burst: 2 }, 0);
  assert.deepEqual([0, 0, 0, 0].map((now) => bucket.reserve(now)), [0, 0, 100, 200]); // prettier-ignore
  bucket.giveBack(0);
  assert.equal(bucket.reserve(0), 200);
  assert.equal(bucket.waitMs(0), 300);
  assert.equal(bucket.reserve(1_000), 0);
});
