/** Goal: A2: an agent is started again as often as configured, ever more slowly, and one that was well begins anew. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { nextRestart, restartDelayMsMax, wellAfterMs } from "./restart-policy.ts";

const settings = { enabled: true, attemptsMax: 5, delayMs: 10_000 };

test("A2: delays double from restart_delay to a minute; after max_restart_attempts it is given up", () => {
  const delays: (number | undefined)[] = [];
  for (let attempts = 0; attempts <= 5; attempts += 1) delays.push(nextRestart(settings, attempts, 1_000)?.delayMs);
  assert.deepEqual(delays, [10_000, 20_000, 40_000, 60_000, 60_000, undefined]);
  assert.equal(nextRestart(settings, 2, undefined)?.attempts, 3);
});

test("A2: one that was ready and lived for long begins a new row; one that was never ready does not", () => {
  assert.deepEqual(nextRestart(settings, 5, wellAfterMs), { attempts: 1, delayMs: 10_000 });
  assert.equal(nextRestart(settings, 5, wellAfterMs - 1), undefined);
  assert.equal(nextRestart(settings, 5, undefined), undefined);
});

test("A2: a longer restart_delay stays as it is, none is none, and off or 0 attempts is off", () => {
  const slow = { ...settings, delayMs: 3 * restartDelayMsMax };
  assert.equal(nextRestart(slow, 4, 0)?.delayMs, 3 * restartDelayMsMax);
  assert.equal(nextRestart({ ...settings, delayMs: 0 }, 4, 0)?.delayMs, 0);
  assert.equal(nextRestart({ ...settings, enabled: false }, 0, 0), undefined);
  assert.equal(nextRestart({ ...settings, attemptsMax: 0 }, 0, wellAfterMs), undefined);
});
