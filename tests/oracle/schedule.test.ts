/**
 * Goal: a run can be repeated, and is not one kind of fault by chance. Method: schedules of many seeds.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { laneSchedule, type FaultKind, type PlannedFault } from "./schedule.ts";

const kind = (name: string, lane: FaultKind["lane"], weight = 1): FaultKind => ({
  name,
  lane,
  weight,
  msMin: 100,
  msMax: 2_000,
});
const kinds = [kind("kill", "daemon", 4), kind("stop", "daemon"), kind("cut", "path"), kind("crash", "cloud")];
const pauseMs = { daemon: [500, 1_500], path: [500, 1_500], cloud: [500, 1_500] } as const;
const plan = { lengthMs: 60_000, pauseMs };

const lanes = ["daemon", "path", "cloud"] as const;
const schedule = (seed: string, lengthMs = plan.lengthMs): PlannedFault[] =>
  lanes.flatMap((lane) => laneSchedule(lane, kinds, { ...plan, lengthMs, seed }));

test("the same seed is the same schedule, another one is another", () => {
  assert.deepEqual(schedule("a"), schedule("a"));
  assert.notDeepEqual(schedule("a"), schedule("b"));
});

test("faults of a lane keep their bounds and fit into the length; every kind comes", () => {
  for (let seed = 0; seed < 200; seed += 1) {
    const faults = schedule(String(seed));
    for (const { pauseMs: pause, forMs } of faults) {
      assert.ok(pause >= 500 && pause <= 1_500);
      assert.ok(forMs >= 100 && forMs <= 2_000);
    }
    for (const lane of lanes) {
      const sum = faults
        .filter((fault) => fault.lane === lane)
        .reduce((ms, fault) => ms + fault.pauseMs + fault.forMs, 0);
      assert.ok(sum <= plan.lengthMs && sum > plan.lengthMs - 3_500);
    }
    assert.deepEqual(new Set(faults.map(({ name }) => name)), new Set(["kill", "stop", "cut", "crash"]));
  }
});

test("a kind of more weight comes more often", () => {
  const faults = schedule("a", 600_000);
  const count = (name: string): number => faults.filter((fault) => fault.name === name).length;
  assert.ok(count("kill") > 3 * count("stop"), `${count("kill")} and ${count("stop")}`);
});
