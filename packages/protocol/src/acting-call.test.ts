/**
 * Goal: what a token has opened ends with the token: a stream over a connection that lives on, and the wait for the moment itself, also where
 * the clock is set meanwhile. Method: a clock moved by hand, of which the wall clock can be set.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Call } from "@hl/core/rpc/answer.ts";
import { ManualClock, settled } from "@hl/testkit/manual-clock.ts";
import { actingCall } from "./acting-call.ts";
import { untilExpiry } from "./expiry.ts";
import type { Caller } from "./method.ts";

/** Its wall clock may be set, as a machine's is, or jump while it sleeps. */
class SetClock extends ManualClock {
  aheadMs = 0;

  override wallMs(): number {
    return super.wallMs() + this.aheadMs;
  }
}

test("the moment is met exactly, however far away, and a cancelled wait holds nothing", async () => {
  const clock = new SetClock();
  let told = 0;
  untilExpiry(clock, 3_000_000_000, () => (told += 1));
  await clock.advance(2_999_999_999);
  assert.equal(told, 0);
  await clock.advance(1);
  assert.deepEqual([told, clock.timers], [1, 0]);
  untilExpiry(clock, clock.wallMs(), () => (told += 1));
  assert.equal(told, 2);
  const cancel = untilExpiry(clock, clock.wallMs() + 10_000_000, () => assert.fail("cancelled"));
  await clock.advance(200_000);
  cancel();
  assert.equal(clock.timers, 0);
});

test("a clock that is set forward, or a machine that slept, puts it off by a minute at most; set back, it is not early", async () => {
  const clock = new SetClock();
  let told = 0;
  untilExpiry(clock, 3_600_000, () => (told += 1));
  clock.aheadMs = 3_600_000;
  await clock.advance(60_000);
  assert.equal(told, 1);
  untilExpiry(clock, clock.wallMs() + 30_000, () => (told += 1));
  clock.aheadMs -= 30_000;
  await clock.advance(59_999);
  assert.equal(told, 1);
  await clock.advance(1);
  assert.equal(told, 2);
});

interface Stream {
  readonly notified: [string, unknown][];
  readonly done: Promise<void>;
  readonly signal: AbortSignal;
}

function stream(caller: Caller, clock: ManualClock, outer: AbortSignal): Stream {
  const notified: [string, unknown][] = [];
  let done = Promise.resolve();
  let seen: AbortSignal | undefined;
  const call: Call = {
    id: 1,
    signal: outer,
    canNotify: true,
    notify: async (method, params) => void notified.push([method, params]),
    notifyBytes: async () => {},
    stream: (producer) => void (done = producer(outer)),
  };
  actingCall(call, caller, clock).stream(async (signal) => {
    seen = signal;
    await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
  });
  assert.ok(seen !== undefined);
  return { notified, done, signal: seen };
}

test("X3: a stream that a token has opened over the cloud's connection ends with the token, and says so", async () => {
  const clock = new ManualClock();
  const outer = new AbortController();
  const caller: Caller = { role: "admin", subject: "alice", via: "cloud", expiresAtMs: 5_000 };
  const opened = stream(caller, clock, outer.signal);
  await clock.advance(4_999);
  assert.equal(opened.signal.aborted, false);
  await clock.advance(1);
  await opened.done;
  assert.deepEqual(opened.notified, [
    [
      "stream/closed",
      { reason: "expired", message: "the token or certificate has expired: authenticate with a new one" },
    ],
  ]);
  assert.equal(clock.timers, 0);
});

test("a stream that ends before its token leaves no timer and says nothing", async () => {
  const clock = new ManualClock();
  const outer = new AbortController();
  const caller: Caller = { role: "admin", subject: "alice", via: "cloud", expiresAtMs: 5_000 };
  const opened = stream(caller, clock, outer.signal);
  outer.abort();
  await opened.done;
  await settled();
  assert.deepEqual([opened.notified, clock.timers], [[], 0]);
  const forever = stream({ role: "admin", subject: "x", via: "cloud" }, clock, AbortSignal.abort());
  assert.equal(forever.signal.aborted, true);
});
