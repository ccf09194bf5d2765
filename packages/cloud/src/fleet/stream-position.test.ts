/** Goal: P5, S2: a stream that was stopped for a slow reader goes on behind the last that he got, or is known not to go on. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { streamPosition } from "./stream-position.ts";

test("a transcript goes on behind the last number; what has no number moves nothing", () => {
  const position = streamPosition("claude/subscribe", { process_id: "a" });
  position.note("claude/event", { type: "delta" });
  assert.equal(position.next(), undefined, "only new ones were wanted, and none has come");
  position.note("claude/event", { seq: 7 });
  position.note("claude/event", { type: "delta" });
  const next = (from_seq: number) => ({ method: "claude/subscribe", params: { process_id: "a", from_seq } });
  assert.deepEqual(position.next(), next(8));
  position.note("claude/gap", { from: 8, to: 11 });
  assert.deepEqual(position.next(), next(12));
  assert.deepEqual(streamPosition("claude/subscribe", { process_id: "a", from_seq: 3 }).next(), next(3));
});
