/** Goal: C3: failures are repeated ever later with full jitter, a wait that the server asks for counts, and a stop ends it at once. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { silentLogger, type Logger } from "@hl/core/logger.ts";
import { ManualClock, settled } from "@hl/testkit/manual-clock.ts";
import { CloudUnreachable } from "./http.ts";
import { HlError, type ErrorType } from "@hl/protocol/errors.ts";
import { NotEnrolled, Retry, type RetryOptions } from "./retry.ts";

function fixture(
  random = 0.999999,
  changes: Partial<RetryOptions> = {},
): { clock: ManualClock; retry: Retry; levels: string[]; pauses: number[] } {
  const levels: string[] = [];
  const pauses: number[] = [];
  const note =
    (level: string): Logger["info"] =>
    (fields) => {
      levels.push(level);
      pauses.push(fields["retry_ms"] as number);
    };
  const logger: Logger = { ...silentLogger, info: note("info"), warn: note("warn"), error: note("error") };
  const clock = new ManualClock();
  return {
    clock,
    levels,
    pauses,
    retry: new Retry({
      clock,
      random: () => random,
      minMs: 1_000,
      maxMs: 60_000,
      logger,
      ...changes,
    }),
  };
}

async function fail({ clock, retry }: ReturnType<typeof fixture>, error: unknown, signal?: AbortSignal): Promise<void> {
  const done = retry.failed(error, "it", signal ?? new AbortController().signal);
  await clock.advance(10_000_000);
  await done;
}

test("C3: the window doubles up to its cap, the level rises with it, and a success begins anew", async () => {
  const f = fixture();
  for (let at = 0; at < 9; at += 1) await fail(f, new Error("x"));
  assert.deepEqual(f.pauses, [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000, 60_000]);
  assert.deepEqual(f.levels, ["info", "info", "warn", "warn", "warn", "error", "error", "error", "error"]);
  f.retry.succeeded();
  await fail(f, new Error("x"));
  assert.equal(f.pauses.at(-1), 1_000);
});

test("C3: windows of other sizes that were set meanwhile hold from the next failure on", async () => {
  const numbers = { minMs: 1_000, maxMs: 60_000 };
  const clock = new ManualClock();
  const pauses: number[] = [];
  const logger: Logger = { ...silentLogger, info: (fields) => void pauses.push(fields["retry_ms"] as number) };
  const options: RetryOptions = {
    clock,
    logger,
    random: () => 1,
    get minMs() {
      return numbers.minMs;
    },
    get maxMs() {
      return numbers.maxMs;
    },
  };
  const f = { clock, pauses, levels: [], retry: new Retry(options) };
  await fail(f, new Error("x"));
  numbers.minMs = 5_000;
  await fail(f, new Error("x"));
  assert.deepEqual(pauses, [1_000, 10_000]);
});

test("C3: behind attemptsMax windows each is the longest, until a success", async () => {
  const f = fixture(0.999999, { attemptsMax: 2 });
  for (let at = 0; at < 4; at += 1) await fail(f, new Error("x"));
  assert.deepEqual(f.pauses, [1_000, 2_000, 60_000, 60_000]);
  f.retry.succeeded();
  await fail(f, new Error("x"));
  assert.equal(f.pauses.at(-1), 1_000);
});

test("C3: jitter is full: the same failure may come again at once or at the end of the window", async () => {
  const f = fixture(0);
  await fail(f, new Error("x"));
  assert.equal(f.pauses[0], 0);
});

test("C3: a wait that was asked for is kept, with jitter on top, and does not move the back-off", async () => {
  for (const [random, pause] of [
    [0, 30_000],
    [1, 45_000],
  ] as const) {
    const f = fixture(random);
    await fail(f, new CloudUnreachable("busy", 30_000));
    assert.deepEqual(f.pauses, [pause]);
  }
  const f = fixture();
  await fail(f, new CloudUnreachable("busy", 30_000));
  await fail(f, new CloudUnreachable("gone"));
  assert.deepEqual(f.pauses.slice(1), [1_000]);
});

test("C3: no success resets the back-off before it has lasted: a channel that flaps comes back ever later", async () => {
  const f = fixture(1, { healthyMs: 60_000 });
  for (let at = 0; at < 3; at += 1) {
    f.retry.succeeded();
    await f.clock.advance(59_999);
    await fail(f, new Error("x"));
  }
  assert.deepEqual(f.pauses, [1_000, 2_000, 4_000]);
  await f.clock.advance(1_000_000); // Time that passed without an answer proves nothing.
  await fail(f, new Error("x"));
  f.retry.succeeded();
  await f.clock.advance(60_000);
  await fail(f, new Error("x"));
  assert.deepEqual(f.pauses.slice(3), [8_000, 1_000]);
});

test("C3: refused credentials are renewed once, then asked with from 60 s up to 15 min", async () => {
  const f = fixture(0);
  for (let at = 0; at < 7; at += 1) await fail(f, new HlError("unauthenticated", "x"));
  assert.deepEqual(f.pauses, [0, 60_000, 120_000, 240_000, 480_000, 900_000, 900_000]);
  f.retry.succeeded();
  await fail(f, new HlError("unauthenticated", "x"));
  await fail(f, new HlError("unauthenticated", "x"));
  assert.deepEqual(f.pauses.slice(7), [0, 60_000]);
  for (const type of ["token_superseded", "identity_in_use", "protocol_unsupported"] satisfies ErrorType[]) {
    const g = fixture(1);
    await fail(g, new HlError(type, "x"));
    assert.deepEqual(g.pauses, [90_000], "with up to half of it added");
  }
});

test("C3: a revoked VM asks again after 5 min, doubling to an hour", async () => {
  const f = fixture(0);
  for (let at = 0; at < 6; at += 1) await fail(f, new HlError("instance_revoked", "x"));
  assert.deepEqual(f.pauses, [300_000, 600_000, 1_200_000, 2_400_000, 3_600_000, 3_600_000]);
});

test("a VM that nobody has enrolled looks for its token at the pace of the network's failures", async () => {
  const f = fixture(1);
  for (let at = 0; at < 3; at += 1) await fail(f, new NotEnrolled("unauthenticated", "x"));
  assert.deepEqual(f.pauses, [1_000, 2_000, 4_000]);
});

test("C3: an announced stop spreads the return over what was said, and is no failed attempt", async () => {
  const f = fixture(0.5);
  const done = f.retry.failed(new Error("x"), "it", new AbortController().signal, 40_000);
  await f.clock.advance(10_000_000);
  await done;
  await fail(f, new Error("x"));
  assert.deepEqual(f.pauses, [20_000, 500]);
});

test("a wait ends early when what it waited for has happened", async () => {
  const f = fixture();
  const done = f.retry.failed(new HlError("instance_revoked", "x"), "it", new AbortController().signal);
  f.retry.wake();
  await done;
  assert.equal(f.clock.timers, 0);
});

test("C3: a stop ends the wait without an error, and before it nothing is said", async () => {
  const f = fixture();
  const stop = new AbortController();
  const done = f.retry.failed(new Error("x"), "it", stop.signal);
  stop.abort();
  await done;
  await f.retry.failed(new Error("x"), "it", stop.signal);
  assert.equal(f.pauses.length, 1);
  assert.equal(f.clock.timers, 0);
});

test("C3: a wait for the network ends when the cloud is reached; one that was asked for, or is for people, does not", async () => {
  const waits = async (error: unknown): Promise<boolean> => {
    const f = fixture();
    let isOver = false;
    const waiting = f.retry.failed(error, "it", new AbortController().signal).then(() => (isOver = true));
    f.retry.reached();
    await settled();
    const isWaiting = !isOver;
    f.retry.wake();
    await waiting;
    return isWaiting;
  };
  assert.equal(await waits(new Error("gone")), false);
  assert.equal(await waits(new CloudUnreachable("gone")), false);
  assert.equal(await waits(new CloudUnreachable("busy", 30_000)), true);
  assert.equal(await waits(new HlError("instance_revoked", "x")), true);
  assert.equal(await waits(new HlError("identity_in_use", "x")), true);
});
