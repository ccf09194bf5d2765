/**
 * Goal: the channel over polls has the promises of the WebSocket: order, one reader, back-pressure, and an end that is noticed.
 * Method: the session alone, time moved by hand.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { defaultTransportLimits } from "@hl/core/rpc/transport.ts";
import { ManualClock, settled } from "@hl/testkit/manual-clock.ts";
import { PollSession } from "./poll-session.ts";

const never = new AbortController().signal;

function fixture(): { clock: ManualClock; session: PollSession; received: string[]; closed: string[] } {
  const clock = new ManualClock();
  const limits = { ...defaultTransportLimits, highWaterBytes: 10 };
  const session = new PollSession({ clock, limits, deadAfterMs: 45_000, answerBytesMax: 8 });
  const received: string[] = [];
  const closed: string[] = [];
  session.open({
    message: (text) => void received.push(text),
    problem: () => {},
    closed: (reason) => void closed.push(reason),
  });
  return { clock, session, received, closed };
}

test("a poll waits for something to say, gets it in order and in bounded answers, and nothing when its time is over", async () => {
  const { clock, session } = fixture();
  const empty = session.take(25_000, never);
  await clock.advance(25_000);
  assert.deepEqual(await empty, []);
  const waiting = session.take(25_000, never);
  await settled();
  void session.send("1111");
  assert.deepEqual(await waiting, ["1111"]);
  for (const text of ["2222", "3333", "4444", "a message that is larger than an answer"]) void session.send(text);
  assert.deepEqual(await session.take(0, never), ["2222", "3333"]);
  assert.deepEqual(await session.take(0, never), ["4444"]);
  assert.deepEqual(await session.take(0, never), ["a message that is larger than an answer"]);
});

test("a newer poll ends the older one with nothing, and a poll that was given up takes nothing with it", async () => {
  const { session } = fixture();
  const older = session.take(25_000, never);
  const left = new AbortController();
  const newer = session.take(25_000, left.signal);
  assert.deepEqual(await older, []);
  left.abort();
  assert.deepEqual(await newer, []);
  void session.send("kept");
  assert.deepEqual(await session.take(0, never), ["kept"]);
});

test("P5: a sender waits while the VM does not poll, and what the VM sends waits while the owner is busy", async () => {
  const { session, received } = fixture();
  let sent = false;
  void session.send("more than ten bytes").then(() => (sent = true));
  await settled();
  assert.equal(sent, false);
  await session.take(0, never);
  await settled();
  assert.equal(sent, true);
  session.pause();
  let delivered = false;
  void session.deliver([{ a: 1 }]).then(() => (delivered = true));
  await settled();
  assert.deepEqual([delivered, received], [false, []]);
  session.resume();
  await settled();
  assert.deepEqual([delivered, received], [true, ['{"a":1}']]);
});

test("without a poll for the time it counts as gone; a poll under way is a sign of life; last words are still taken", async () => {
  const { clock, session, closed } = fixture();
  const polling = session.take(60_000, never);
  await clock.advance(60_000);
  await polling;
  assert.deepEqual(closed, []);
  await clock.advance(44_999);
  assert.deepEqual(closed, []);
  await clock.advance(1);
  assert.deepEqual(closed, ["no poll for 45 s"]);
  await assert.rejects(session.send("x"), /no poll/);
  assert.equal(await session.take(0, never), undefined);
  assert.equal(clock.timers, 0);

  const other = fixture();
  void other.session.send("bye");
  other.session.close("stopping");
  assert.deepEqual(await other.session.take(0, never), ["bye"]);
  assert.equal(await other.session.take(0, never), undefined);
});
