/** Goal: P7: so many calls at once and so many behind them, in order, and no place is lost by those who leave. Method: work that ends when the test says so. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { HlError } from "@hl/protocol/errors.ts";
import { Slots } from "./slots.ts";

const never = new AbortController().signal;

test("P7: two at once, two behind them in the order they came, and one more is refused", async () => {
  const slots = new Slots(2, 2);
  const begun: number[] = [];
  const works = [0, 1, 2, 3].map((index) => ({
    index,
    begun: Promise.withResolvers<undefined>(),
    end: Promise.withResolvers<undefined>(),
  }));
  const runs = works.map(({ index, begun: isBegun, end }) =>
    slots.run(never, async () => {
      begun.push(index);
      isBegun.resolve(undefined);
      await end.promise;
      return index;
    }),
  );
  assert.deepEqual(begun, [0, 1]);
  await assert.rejects(
    slots.run(never, async () => {}),
    (error: unknown) => error instanceof HlError && error.type === "rate_limited",
  );
  works[1]!.end.resolve(undefined);
  await works[2]!.begun.promise;
  assert.deepEqual(begun, [0, 1, 2]);
  for (const { end } of works) end.resolve(undefined);
  assert.deepEqual(await Promise.all(runs), [0, 1, 2, 3]);
});

test("who leaves while waiting is passed over, and a failure frees the place", async () => {
  const slots = new Slots(1, 5);
  const first = Promise.withResolvers<never>();
  const failing = slots.run(never, () => first.promise);
  const leaving = new AbortController();
  const left = slots.run(leaving.signal, async () => assert.fail("it has left"));
  const last = slots.run(never, async () => "last");
  leaving.abort(new Error("left"));
  await assert.rejects(left, /left/);
  first.reject(new Error("failed"));
  await assert.rejects(failing, /failed/);
  assert.equal(await last, "last");
  assert.equal(await slots.run(never, async () => "free"), "free");
});

test("P7: who leaves is let go at once, and the place is free when the work is over", async () => {
  const slots = new Slots(1, 5);
  const work = Promise.withResolvers<undefined>();
  const leaving = new AbortController();
  const left = slots.run(leaving.signal, () => work.promise);
  let isFree = false;
  const next = slots.run(never, async () => (isFree = true));
  leaving.abort(new Error("left"));
  await assert.rejects(left, /left/);
  assert.equal(isFree, false);
  work.reject(new Error("nobody hears of it"));
  await next;
  assert.equal(isFree, true);
});
