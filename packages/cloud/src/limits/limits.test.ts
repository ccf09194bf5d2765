/** Goal: the rates hold exactly at their limits, and what is refused is told when to come. Method: a clock moved by hand. */
import assert from "node:assert/strict";
import test from "node:test";
import { HlError } from "@hl/protocol/errors.ts";
import { ManualClock } from "@hl/testkit/manual-clock.ts";
import { Admission } from "./admission.ts";
import { RateLimits } from "./rate-limits.ts";

/** The type of the refusal and the wait it asks for; undefined when there was none. */
function refusalOf(ask: () => void): [type: string, retryAfterMs: unknown] | undefined {
  try {
    ask();
    return undefined;
  } catch (error) {
    assert.ok(error instanceof HlError);
    return [error.type, error.facts["retry_after_ms"]];
  }
}

test("admission lets in a burst, then its rate, and spreads those that it refuses", async () => {
  const clock = new ManualClock();
  const admission = new Admission({ what: "new connections", limit: { perSecond: 10, burst: 3 }, clock });
  const ask = () => refusalOf(() => admission.admit());
  assert.deepEqual([ask(), ask(), ask()], [undefined, undefined, undefined]);
  const waits = Array.from({ length: 30 }, () => ask()?.[1] as number);
  assert.deepEqual([waits[0], waits[9], waits[19], waits[29]], [1_000, 1_000, 2_000, 3_000]);
  assert.equal(ask()?.[0], "overloaded");
  await clock.advance(100);
  assert.deepEqual([ask(), ask()?.[0]], [undefined, "overloaded"]);
  assert.deepEqual([admission.admitted, admission.refused], [4, 32]);
});

test("however many are refused, none is told to wait for longer than a minute", () => {
  const clock = new ManualClock();
  const admission = new Admission({ what: "registrations", limit: { perSecond: 1, burst: 1 }, clock });
  admission.admit();
  const waits = Array.from({ length: 1_000 }, () => refusalOf(() => admission.admit())?.[1] as number);
  assert.equal(Math.max(...waits), 60_000);
});

test("each instance has a rate of its own", async () => {
  const clock = new ManualClock();
  const limits = new RateLimits({ what: "heartbeats", limit: { perSecond: 2, burst: 2 }, clock });
  const ask = (id: string) => refusalOf(() => limits.take(id));
  assert.deepEqual([ask("wild"), ask("wild"), ask("wild")], [undefined, undefined, ["rate_limited", 500]]);
  assert.equal(ask("calm"), undefined);
  await clock.advance(500);
  assert.deepEqual([ask("wild"), ask("wild")?.[0]], [undefined, "rate_limited"]);
  assert.equal(limits.refused, 2);
});

test("P7: instances that ask no more are forgotten", async () => {
  const clock = new ManualClock();
  const limits = new RateLimits({ what: "heartbeats", limit: { perSecond: 1, burst: 1 }, clock });
  for (let index = 0; index < 1_024; index += 1) limits.take(`vm-${index}`);
  assert.equal(limits.size, 1_024);
  await clock.advance(1_000);
  limits.take("another");
  assert.equal(limits.size, 1);
});
