/**
 * Goal: repairs stay within their budget, say each step, stop when it is spent, and begin anew when somebody says so or the part has
 * been well for a while. Method: the budget itself, time by hand.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "@hl/testkit/manual-clock.ts";
import { Healing, wellMs, type HealingSettings } from "./healing.ts";

interface Fixture {
  readonly clock: ManualClock;
  readonly healing: Healing;
  readonly settings: { -readonly [Name in keyof HealingSettings]: HealingSettings[Name] };
  /** Outcome and attempt. */
  readonly told: string[];
  /** Asks as a part does that waits for its turn; answers how often it got it. */
  readonly turns: () => number;
  readonly ask: () => void;
}

function fixture(): Fixture {
  const clock = new ManualClock();
  const settings = { enabled: true, attemptsMax: 2, delayMs: 30_000 };
  const told: string[] = [];
  const healing = new Healing({
    clock,
    settings,
    onStep: ({ outcome, attempt }) => told.push(`${outcome} ${attempt}`),
  });
  let turns = 0;
  const ask = (): void =>
    void healing.turn("runner", "start it", "SIGKILL", new AbortController().signal).then(() => (turns += 1));
  return { clock, healing, settings, told, turns: () => turns, ask };
}

test("the first attempt comes at once, the next after the delay where the last has not helped", async () => {
  const f = fixture();
  f.ask();
  await f.clock.advance(0);
  assert.equal(f.turns(), 1);
  f.healing.failed("runner", "no such file");
  f.ask();
  await f.clock.advance(29_999);
  assert.equal(f.turns(), 1);
  await f.clock.advance(1);
  assert.equal(f.turns(), 2);
  f.healing.recovered("runner");
  assert.deepEqual(f.told, ["begun 1", "failed 1", "begun 2", "recovered 2"]);
});

test("one that helped and did not last is followed by the next at once, and counts", async () => {
  const f = fixture();
  for (const attempt of [1, 2]) {
    f.ask();
    await f.clock.advance(wellMs - 1);
    assert.equal(f.turns(), attempt);
    f.healing.recovered("runner");
  }
  f.ask();
  await f.clock.advance(wellMs - 1);
  assert.equal(f.turns(), 2);
  assert.equal(f.told.at(-1), "exhausted 2");
});

test("when it is spent it stops and says so once, until a reset", async () => {
  const f = fixture();
  for (let n = 0; n < 2; n += 1) {
    f.ask();
    await f.clock.advance(30_000);
    f.healing.failed("runner", "no such file");
  }
  f.ask();
  await f.clock.advance(10 * wellMs);
  assert.equal(f.turns(), 2);
  assert.deepEqual(
    f.healing.conditions.map(({ code, subject, text }) => [code, subject, text]),
    [["self_healing_exhausted", "runner", "runner: 2 attempts in a row to start it have not lasted: SIGKILL"]],
  );
  assert.deepEqual(f.told.slice(4), ["exhausted 2"]);
  assert.deepEqual(f.healing.reset(), ["runner"]);
  await f.clock.advance(0);
  assert.equal(f.turns(), 3);
  assert.deepEqual(f.healing.conditions, []);
  assert.deepEqual(f.told.slice(5), ["reset 0", "begun 1"]);
});

test("a part that was well for a while has its whole budget again", async () => {
  const f = fixture();
  for (const attempt of [1, 2]) {
    assert.ok(f.healing.begin("disk", "free", "95 %"));
    assert.equal(f.told.at(-1), `begun ${attempt}`);
    f.healing.recovered("disk");
  }
  assert.ok(!f.healing.begin("disk", "free", "95 %"));
  assert.equal(f.healing.conditions.length, 1);
  f.healing.recovered("disk");
  await f.clock.advance(wellMs - 1);
  assert.equal(f.healing.conditions.length, 1);
  await f.clock.advance(1);
  assert.deepEqual(f.healing.conditions, []);
  assert.ok(f.healing.begin("disk", "free", "95 %"));
});

test("switched off nothing is begun; switched on, whoever waits goes on; a larger budget is one more try", async () => {
  const f = fixture();
  f.settings.enabled = false;
  f.ask();
  await f.clock.advance(wellMs);
  assert.deepEqual([f.turns(), f.told, f.healing.begin("disk", "free", "x")], [0, [], false]);
  f.settings.enabled = true;
  f.healing.settingsChanged();
  await f.clock.advance(0);
  assert.equal(f.turns(), 1);
  f.settings.attemptsMax = 1;
  f.ask();
  await f.clock.advance(0);
  assert.deepEqual([f.turns(), f.healing.conditions.length], [1, 1]);
  f.settings.attemptsMax = 2;
  f.healing.settingsChanged();
  await f.clock.advance(0);
  assert.deepEqual([f.turns(), f.healing.conditions.length], [2, 0]);
});

test("whoever waits for a turn stops waiting when he is stopped, and leaves no timer", async () => {
  const f = fixture();
  const stopping = new AbortController();
  const turn = (): Promise<void> => f.healing.turn("runner", "start it", "x", stopping.signal);
  await turn();
  f.healing.failed("runner", "y");
  const waiting = assert.rejects(turn(), /over/);
  await f.clock.advance(1);
  stopping.abort(new Error("over"));
  await waiting;
  assert.equal(f.clock.timers, 0);
});
