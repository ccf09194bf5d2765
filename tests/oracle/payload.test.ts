/**
 * Goal: the oracle's events are what the limits are about: exact sizes, and the same event for the same id. Method: many ids.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { batchBytesMax, batchIds, bytesOf, eventBytesMax, eventId, eventOf, isTooLarge, numberOf } from "./payload.ts";

const ids = Array.from({ length: 1_500 }, (_, number) => eventId("seed", number));

test("an event is a pure function of its id, and another id is another event", () => {
  for (const id of ids.slice(0, 100)) assert.deepEqual(eventOf(id), eventOf(id));
  const texts = ids.map((id) => eventOf(id).data.text).filter((text) => text.length > 100);
  assert.equal(new Set(texts).size, texts.length);
});

test("every size around a limit comes", () => {
  const events = ids.map(eventOf);
  const texts = new Set(events.map(({ data }) => Buffer.byteLength(JSON.stringify(data.text)) - 2));
  for (const bytes of [0, 1, 1023, 1024, 1025]) assert.ok(texts.has(bytes), `a text of ${bytes}`);
  const whole = new Set(events.map(bytesOf));
  for (const over of [-1, 0, 1]) assert.ok(whole.has(eventBytesMax + over), `an event of the limit ${over}`);
  assert.deepEqual(new Set(events.filter(isTooLarge).map(bytesOf)), new Set([eventBytesMax + 1]));
});

test("a group fills a batch to the byte", () => {
  for (const delta of [-1, 0, 1]) {
    const sizes = batchIds("seed", 7, delta).map((id) => bytesOf(eventOf(id)));
    assert.equal(
      sizes.reduce((sum, size) => sum + size, 0),
      batchBytesMax + delta,
    );
    assert.ok(sizes.every((size) => size <= eventBytesMax));
  }
});

test("an id says its number, and a stranger's does not", () => {
  assert.equal(numberOf("seed", eventId("seed", 12)), 12);
  assert.equal(numberOf("seed", batchIds("seed", 13, 1)[0] ?? ""), 13);
  assert.equal(numberOf("seed", "other:12"), undefined);
});
