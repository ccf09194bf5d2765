/** Goal: `local_api.rate_limiting` holds for each caller alone, exactly. Method: a clock moved by hand. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { HlError } from "@hl/protocol/errors.ts";
import type { Caller } from "@hl/protocol/method.ts";
import { ManualClock } from "@hl/testkit/manual-clock.ts";
import { CallerLimits, type CallerRate } from "./caller-limits.ts";

const rate: CallerRate = { requestsPerMinute: 60, burst: 3, strategy: "exponential" };
const callerOf = (subject: string, credential: Caller["credential"]): Caller => ({
  ...{ role: "vm-instance", subject, via: "http", credential },
});

/** Milliseconds to wait; 0 where there was no refusal. */
function waitOf(ask: () => void): number {
  try {
    ask();
    return 0;
  } catch (error) {
    assert.ok(error instanceof HlError && error.type === "rate_limited", String(error));
    return error.facts["retry_after_ms"] as number;
  }
}

describe("rate of callers", () => {
  test("requests_per_minute and burst_limit hold for each token and certificate alone; the wait grows by backoff_strategy", async () => {
    const clock = new ManualClock();
    const limits = new CallerLimits(rate, clock);
    const ask = (caller: Caller) => waitOf(() => limits.request(caller));
    const wild = callerOf("wild", "jwt");
    assert.deepEqual([1, 2, 3, 4, 5, 6].map(() => ask(wild)), [0, 0, 0, 1_000, 2_000, 4_000]); // prettier-ignore
    assert.equal(limits.isOver(wild), true);
    assert.equal(ask(callerOf("calm", "jwt")), 0);
    assert.equal(ask(callerOf("wild", "certificate")), 0, "the same name proved in another way is somebody else");
    await clock.advance(1_000);
    assert.deepEqual([ask(wild), ask(wild)], [0, 1_000]);
  });

  test("the local admin token is exempt, whatever the names of tokens", () => {
    const limits = new CallerLimits(rate, new ManualClock());
    const admin = callerOf("local-token", undefined);
    assert.deepEqual(new Set(Array.from({ length: 1_000 }, () => waitOf(() => limits.request(admin)))), new Set([0]));
    const forged = callerOf("local-token", "jwt");
    for (let index = 0; index < 3; index += 1) limits.request(forged);
    assert.equal(
      waitOf(() => limits.request(forged)),
      1_000,
    );
    assert.equal(limits.isOver(admin), false);
  });

  test("before authentication each address has a rate; refusals say nothing of the address", () => {
    const limits = new CallerLimits(rate, new ManualClock());
    const ask = (address: string) => waitOf(() => limits.stranger(address));
    assert.deepEqual([1, 2, 3, 4].map(() => ask("10.0.0.1")), [0, 0, 0, 1_000]); // prettier-ignore
    assert.equal(limits.isStrangerOver("10.0.0.1"), true);
    assert.equal(ask("10.0.0.2"), 0);
    assert.equal(
      waitOf(() => limits.request(callerOf("10.0.0.1", "jwt"))),
      0,
      "a name is no address",
    );
    assert.throws(() => limits.stranger("10.0.0.1"), /^(?!.*10\.0\.0\.1)/);
  });

  test("each strategy is obeyed, and a change of the section holds at once", () => {
    const limits = new CallerLimits({ ...rate, strategy: "constant" }, new ManualClock());
    const ask = () => waitOf(() => limits.request(callerOf("a", "jwt")));
    assert.deepEqual([ask(), ask(), ask(), ask(), ask()], [0, 0, 0, 1_000, 1_000]);
    limits.change({ requestsPerMinute: 6_000, burst: 1, strategy: "linear" });
    assert.deepEqual([ask(), ask()], [30, 40]);
  });
});
