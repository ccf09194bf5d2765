/** Goal: P7: texts in pieces are as many as there may be; each ends with its message, and what was held back is told then. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { DeltaStreams, type TextStream } from "./delta-streams.ts";
import type { Said } from "./said.ts";

/** Holds everything back, so that only ends tell. */
function holding(): TextStream {
  let held = "";
  return { push: (text) => ((held += text), ""), end: () => held };
}

const delta = (text: string, more: object = {}): Said => ({
  type: "delta",
  sessionId: "s",
  data: { kind: "text", text, ...more },
});
const said = (type: string, data: object = {}): Said => ({ type, sessionId: "s", data });
const texts = (pieces: readonly Said[]): unknown[] => pieces.map(({ data }) => (data as { text: string }).text);

test("a message ends the texts of who says it, the end of the turn all; other events end none", () => {
  const deltas = new DeltaStreams(holding);
  for (const one of [delta("a"), delta("b", { kind: "thinking" }), delta("c", { subagent_of: "t" }), delta("A")])
    assert.deepEqual(deltas.push(one), []);
  assert.deepEqual(deltas.endedBy(said("tool_call")), []);
  assert.deepEqual(texts(deltas.endedBy(said("message"))), ["aA", "b"]);
  assert.deepEqual(deltas.endedBy(said("message")), []);
  assert.deepEqual(texts(deltas.endedBy(said("turn_completed"))), ["c"]);
});

test("P7: one more than 32 texts ends the oldest", () => {
  const deltas = new DeltaStreams(holding);
  for (let at = 0; at < 32; at += 1) assert.deepEqual(deltas.push(delta(`${at}`, { subagent_of: `t${at}` })), []);
  assert.deepEqual(texts(deltas.push(delta("x", { subagent_of: "one more" }))), ["0"]);
  assert.equal(deltas.endedBy(said("exited")).length, 32);
});

test("what has no text goes as it is", () => {
  const one = said("delta", { kind: "other" });
  assert.deepEqual(new DeltaStreams(holding).push(one), [one]);
});
