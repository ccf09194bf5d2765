/** Goal: the transport that tests and in-process peers use keeps the contract of the real ones: order, close, silence after close. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { memoryTransports } from "./memory.ts";
import { Inbox } from "./testing/sockets.ts";

test("delivers in order, never within send, and what was sent before open too", async () => {
  const [left, right] = memoryTransports();
  const inbox = new Inbox();
  void left.send("early");
  right.open(inbox);
  const sent = left.send("second");
  assert.deepEqual(inbox.messages, []);
  await sent;
  assert.deepEqual(await inbox.count(2), ["early", "second"]);
});

test("close tells both sides once, after what was sent before it, and refuses later messages", async () => {
  const [left, right] = memoryTransports();
  const [mine, theirs] = [new Inbox(), new Inbox()];
  left.open(mine);
  right.open(theirs);
  void left.send("last");
  left.close("enough");
  right.close("me too");
  await assert.rejects(left.send("late"), /closed/);
  assert.equal(await mine.whenClosed, "enough");
  assert.equal(await theirs.whenClosed, "me too");
  assert.ok(theirs.messages.length <= 1);
  await assert.rejects(right.send("late"), /closed/);
});

test("after the other side has closed nothing is delivered any more", async () => {
  const [left, right] = memoryTransports();
  const inbox = new Inbox();
  right.open(inbox);
  right.pause();
  await left.send("held back");
  left.close("enough");
  assert.equal(await inbox.whenClosed, "enough");
  assert.deepEqual(inbox.messages, []);
});
