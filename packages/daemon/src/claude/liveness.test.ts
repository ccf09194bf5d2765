/** Goal: an agent that hangs is found by its missing answers within a bound, and none that answers is taken for one. Method: a clock moved by hand. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "@hl/testkit/manual-clock.ts";
import { AgentFailure } from "./agent.ts";
import { Liveness } from "./liveness.ts";

const intervalMs = 60_000;
const pingMsMax = 15_000;

function watched(answers: (n: number) => AgentFailure | undefined) {
  const clock = new ManualClock();
  const seen = { pings: 0, alive: 0, stuck: [] as number[] };
  const ping = async (timeoutMs: number): Promise<void> => {
    seen.pings += 1;
    const failure = answers(seen.pings);
    if (failure?.kind === "timeout") await clock.sleep(timeoutMs);
    if (failure !== undefined) throw failure;
  };
  const onAlive = (): void => void (seen.alive += 1);
  const onStuck = (ms: number): void => void seen.stuck.push(ms);
  const liveness = new Liveness({ clock, intervalMs, pingMsMax, ping, onAlive, onStuck });
  liveness.start();
  return { clock, seen, liveness };
}

const late = new AgentFailure("timeout", "late");

test("one that answers is asked once an interval, for ever", async () => {
  const { clock, seen } = watched(() => undefined);
  await clock.advance(10 * intervalMs);
  assert.deepEqual(seen, { pings: 10, alive: 10, stuck: [] });
});

test("two pings in a row without an answer: stuck, told once, and not asked again", async () => {
  const { clock, seen } = watched(() => late);
  await clock.advance(intervalMs + 2 * pingMsMax - 1);
  assert.deepEqual(seen.stuck, []);
  await clock.advance(1);
  assert.deepEqual(seen.stuck, [2 * pingMsMax]);
  await clock.advance(10 * intervalMs);
  assert.deepEqual(seen, { pings: 2, alive: 0, stuck: [2 * pingMsMax] });
  assert.equal(clock.timers, 0);
});

test("one late answer is no hanging, and neither is a refusal", async () => {
  const refused = new AgentFailure("control_refused", "unknown method");
  const { clock, seen } = watched((n) => [late, undefined, refused][n - 1]);
  await clock.advance(3 * intervalMs + pingMsMax);
  assert.deepEqual([seen.pings, seen.stuck], [4, []]);
});

test("an interval and a time for an answer that change hold from the next round on", async () => {
  const clock = new ManualClock();
  const now = { intervalMs, pingMsMax };
  const asked: [at: number, timeoutMs: number][] = [];
  const liveness = new Liveness({
    clock,
    get intervalMs() {
      return now.intervalMs;
    },
    get pingMsMax() {
      return now.pingMsMax;
    },
    ping: async (timeoutMs) => asked.push([clock.now(), timeoutMs]),
    onAlive: () => {},
    onStuck: () => assert.fail("it answers"),
  });
  liveness.start();
  await clock.advance(intervalMs);
  now.intervalMs = 1_000;
  now.pingMsMax = 7;
  await clock.advance(intervalMs + 2_000);
  assert.deepEqual(asked.slice(0, 4), [
    [60_000, 15_000],
    [120_000, 7],
    [121_000, 7],
    [122_000, 7],
  ]);
  liveness[Symbol.dispose]();
});

test("disposed it asks nothing more, also between two pings", async () => {
  const { clock, seen, liveness } = watched(() => late);
  await clock.advance(intervalMs + 1);
  liveness[Symbol.dispose]();
  await clock.advance(10 * intervalMs);
  assert.deepEqual([seen.stuck, clock.timers], [[], 0]);
});
