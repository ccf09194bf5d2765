/** Goal: P7: what waits for one reader that does not read is bounded, in number and in bytes, and nothing of a message is told behind what was left out. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { AgentItem } from "@hl/protocol/methods/claude-subscribe.ts";
import { LiveReader } from "./live-reader.ts";

const item = (session_id: string): AgentItem => ({
  ...{ process_id: "a", timestamp: 1, type: "delta", session_id, data: {} },
});
const kib = 1_024;

/** What waits behind 1. */
function waiting(reader: LiveReader): string[] {
  const all: string[] = [];
  for (let next = reader.next(1, 1); next !== undefined; next = reader.next(1, 1)) all.push(next.session_id);
  return all;
}

test("at its limit of bytes everything waits; a byte more, and all of the message is left out", () => {
  const reader = new LiveReader();
  for (let at = 0; at < 4; at += 1) reader.offer(item(`${at}`), 1, 64 * kib);
  assert.deepEqual(waiting(reader), ["0", "1", "2", "3"]);
  for (let at = 0; at < 4; at += 1) reader.offer(item(`${at}`), 1, 64 * kib);
  reader.offer(item("over"), 1, 1);
  reader.offer(item("rest"), 1, 1);
  assert.deepEqual(waiting(reader), []);
  reader.offer(item("next message"), 2, 256 * kib);
  assert.equal(reader.next(2, 2)?.session_id, "next message", "what was left out takes no room");
});

test("what the reader has passed takes no room", () => {
  const reader = new LiveReader();
  reader.offer(item("old"), 0, 256 * kib);
  assert.equal(reader.next(1, 1), undefined);
  reader.offer(item("new"), 1, 256 * kib);
  assert.deepEqual(waiting(reader), ["new"]);
});
