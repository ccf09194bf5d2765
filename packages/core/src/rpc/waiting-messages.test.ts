import assert from "node:assert/strict";
import { test } from "node:test";
import { WaitingMessages } from "./waiting-messages.ts";

test("P7: as many messages go at once as fit to the byte, in order, and one that is larger alone", () => {
  const waiting = new WaitingMessages();
  for (const text of ["aaaa", "bbb", "cc", "dddddddddd", "e"]) waiting.push(text);
  assert.equal(waiting.bytes, 20);
  assert.deepEqual(waiting.take(9), ["aaaa", "bbb", "cc"]);
  assert.deepEqual(waiting.take(9), ["dddddddddd"]);
  assert.deepEqual(waiting.take(0), ["e"]);
  assert.deepEqual([waiting.take(9), waiting.isEmpty, waiting.bytes], [[], true, 0]);
});
