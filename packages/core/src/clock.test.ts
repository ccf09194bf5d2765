/** Goal: the real clock's timers can be cancelled and aborted, leave nothing behind, and a very long one does not fire at once. */
import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { test } from "node:test";
import { systemClock } from "./clock.ts";

test("now is monotonic, wallMs is the wall clock", () => {
  const before = systemClock.now();
  assert.ok(systemClock.now() >= before);
  assert.ok(Math.abs(systemClock.wallMs() - Date.now()) < 1_000);
});

test("sleep resolves, rejects with the signal's reason, and lets go of the signal either way", async () => {
  const abort = new AbortController();
  await systemClock.sleep(1, abort.signal);
  assert.equal(getEventListeners(abort.signal, "abort").length, 0);
  const reason = new Error("enough");
  const sleeping = systemClock.sleep(1_000_000, abort.signal);
  abort.abort(reason);
  await assert.rejects(sleeping, reason);
  await assert.rejects(systemClock.sleep(1, abort.signal), reason);
});

test("after calls back once; its cancel may be called at any time; later than Node's limit is not at once", async () => {
  const order: string[] = [];
  const fired = Promise.withResolvers<undefined>();
  const cancelLate = systemClock.after(3e9, () => order.push("late"));
  const cancelled = systemClock.after(1, () => order.push("cancelled"));
  cancelled();
  cancelled();
  const cancelFired = systemClock.after(5, () => {
    order.push("fired");
    fired.resolve(undefined);
  });
  await fired.promise;
  cancelFired();
  cancelLate();
  assert.deepEqual(order, ["fired"]);
});
