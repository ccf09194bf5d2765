/**
 * Goal: `cloud_api.rate_limiting` paces the daemon's own requests: a burst at once, the rest in order at the rate, none lost, and a cloud that only
 * says 429 is asked ever more seldom. Method: a clock moved by hand; the real client at a server that counts.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ManualClock, settled } from "@hl/testkit/manual-clock.ts";
import { result, ScriptedCloud } from "./cloud.fixture.test.ts";
import { CloudUnreachable } from "./http.ts";
import { RequestPace, type PaceOptions } from "./request-pace.ts";

const options: PaceOptions = { requestsPerMinute: 60, burst: 2, strategy: "exponential" };
const never = new AbortController().signal;

describe("pace of requests to the cloud", () => {
  test("a burst goes at once, the others one a second in their order; an aborted one gives its turn back", async () => {
    const clock = new ManualClock();
    const pace = new RequestPace(options, clock);
    const gone: string[] = [];
    const stop = new AbortController();
    const ask = (name: string, signal = never): Promise<unknown> =>
      pace.turn(signal).then(
        () => gone.push(name),
        () => gone.push(`${name} aborted`),
      );
    const asked = ["a", "b", "c"].map((name) => ask(name));
    asked.push(ask("d", stop.signal), ask("e"));
    await settled();
    assert.deepEqual(gone, ["a", "b"]);
    stop.abort(new Error("stopping"));
    await clock.advance(1_000);
    assert.deepEqual(gone, ["a", "b", "d aborted", "c"]);
    asked.push(ask("f"));
    await clock.advance(2_000);
    await Promise.all(asked);
    assert.deepEqual(gone.slice(4).sort(), ["e", "f"]);
    await assert.rejects(pace.turn(AbortSignal.abort(new Error("late"))), /late/);
    assert.equal(clock.timers, 0);
  });

  test("another pace holds at once", async () => {
    const clock = new ManualClock();
    const pace = new RequestPace(options, clock);
    await pace.turn(never);
    pace.change({ ...options, requestsPerMinute: 6_000, burst: 1 });
    await pace.turn(never);
    let isThrough = false;
    void pace.turn(never).then(() => (isThrough = true));
    await clock.advance(9);
    assert.equal(isThrough, false);
    await clock.advance(1);
    assert.equal(isThrough, true);
  });

  test("refusals in a row that say no time wait longer by the strategy, within the limit, until one is accepted", () => {
    const waits = { exponential: [1_000, 2_000, 4_000, 5_000], linear: [1_000, 2_000, 3_000, 4_000], constant: [1_000, 1_000, 1_000, 1_000] }; // prettier-ignore
    for (const strategy of ["exponential", "linear", "constant"] as const) {
      const pace = new RequestPace({ ...options, strategy }, new ManualClock());
      assert.deepEqual([1, 2, 3, 4].map(() => pace.refused(5_000)), waits[strategy]); // prettier-ignore
      pace.accepted();
      assert.equal(pace.refused(5_000), 1_000);
    }
  });

  test("every kind of request takes its turn, and a 429 without Retry-After is told with the wait", async () => {
    await using cloud = await ScriptedCloud.start();
    const clock = new ManualClock();
    await using http = cloud.client(clock, { pace: new RequestPace({ ...options, burst: 1 }, clock) });
    cloud.otherwise((received) => result(received, {}));
    await http.call(`${cloud.url}/x`, "m", {}, undefined, never);
    const batch = http.batch(`${cloud.url}/x`, "m", ["{}"], "t", never).catch(() => {});
    const poll = http.exchange("POST", `${cloud.url}/x`, "[]", "t", never).catch(() => {});
    await settled();
    assert.equal(cloud.received.length, 1);
    await clock.advance(1_000);
    await batch;
    assert.equal(cloud.received.length, 2);
    await clock.advance(1_000);
    await poll;
    assert.equal(cloud.received.length, 3);
    cloud.otherwise((_received, response) => void response.writeHead(429).end('{"jsonrpc":"2.0","id":null,"error":{"code":1003,"message":"slow"}}')); // prettier-ignore
    for (const afterMs of [1_000, 2_000]) {
      const asked = http.call(`${cloud.url}/x`, "m", {}, undefined, never).catch((error: unknown) => error);
      await clock.advance(1_000);
      const error = await asked;
      assert.ok(error instanceof CloudUnreachable);
      assert.equal(error.retryAfterMs, afterMs);
    }
  });
});
