/** Goal: P7: a stream that says nothing more is over in the cloud too. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { isEmptyStream, isLastNotification } from "./delivery.ts";

test("the last word of a command and of an agent end their streams, other events do not", () => {
  assert.equal(isLastNotification("command/exited", {}), true);
  assert.equal(isLastNotification("claude/event", { type: "ended" }), true);
  assert.equal(isLastNotification("claude/event", { type: "exited" }), false);
  assert.equal(isLastNotification("event/event", { type: "ended" }), false);
});

test("an agent that has ended and was read to its end brings nothing; with one event left, or alive, it does", () => {
  const empty = (params: object, status: string): boolean =>
    isEmptyStream("claude/subscribe", params, { status, next_seq: 8 });
  assert.deepEqual([empty({ from_seq: 8 }, "ended"), empty({}, "ended")], [true, true]);
  assert.deepEqual(
    [empty({ from_seq: 7 }, "ended"), empty({ from_seq: 8 }, "idle"), empty({}, "idle")],
    [false, false, false],
  );
  assert.equal(isEmptyStream("event/subscribe", {}, { next_seq: 8 }), false);
});
