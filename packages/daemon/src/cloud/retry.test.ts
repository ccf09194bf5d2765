/** Goal: C3: failures are repeated ever later with full jitter, a wait that the server asks for counts, and a stop ends it at once. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { silentLogger, type Logger } from "@hl/core/logger.ts";
import { ManualClock } from "@hl/testkit/manual-clock.ts";
import { CloudUnreachable } from "./http.ts";
import { Retry } from "./retry.ts";

function fixture(random = 0.999999): { clock: ManualClock; retry: Retry; levels: string[]; pauses: number[] } {
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
    retry: new Retry({ clock, random: () => random, minMs: 1_000, maxMs: 60_000, logger }),
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
