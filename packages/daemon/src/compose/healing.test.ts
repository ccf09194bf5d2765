/**
 * Goal: what is done about an alert is done within the budget of that alert and of no other. Method: the real budget with time by hand; alerts
 * come and go as the monitor tells them.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { loadConfig, type Config } from "@hl/config/load.ts";
import { silentLogger } from "@hl/core/logger.ts";
import { healthChecks, type HealthCode } from "@hl/protocol/health-checks.ts";
import { ManualClock } from "@hl/testkit/manual-clock.ts";
import { makeDaemonHome, temporaryFolder } from "@hl/testkit/programs.ts";
import type { HealingStep } from "../health/healing.ts";
import { ComposedHealing } from "./healing.ts";
import { LiveConfig } from "./live-config.ts";

interface Fixture {
  readonly healing: ComposedHealing;
  readonly shares: number[];
  readonly alert: (change: "raised" | "cleared", code: HealthCode) => void;
  /** `part outcome attempt`, since it was asked last. */
  readonly steps: () => string[];
}

function configWith(sections: Readonly<Record<string, object>>): Config {
  using folder = temporaryFolder("hl-healing");
  makeDaemonHome(folder.path, sections);
  const loaded = loadConfig({ home: folder.path, testMode: true, env: {}, files: {} });
  assert.ok(loaded.ok, JSON.stringify(loaded));
  return loaded.config;
}

function fixture(): Fixture {
  const config = configWith({
    health_monitoring: { self_healing: { max_restart_attempts: 2, restart_delay: 0 } },
  });
  const told: HealingStep[] = [];
  const healing = new ComposedHealing({
    ...{ config, live: new LiveConfig(config), clock: new ManualClock(), logger: silentLogger },
    events: { emit: (_type, step) => void told.push(step as HealingStep) },
  });
  const shares: number[] = [];
  healing.relieveDiskWith((share) => shares.push(share));
  return {
    healing,
    shares,
    alert: (change, code) => {
      const { severity, title } = healthChecks[code];
      healing.alertChanged({ change, code, alert: { code, severity, title, text: `${code} is seen` } });
    },
    steps: () => told.splice(0).map(({ part, outcome, attempt }) => `${part} ${outcome} ${attempt}`),
  };
}

test("a disk that is filling up uses nothing of the budget of a full one, and the end of one is not that of the other", () => {
  const f = fixture();
  f.alert("raised", "disk_high");
  for (let round = 0; round < 3; round += 1) f.healing.round();
  assert.deepEqual(f.steps(), ["disk begun 1", "disk failed 1", "disk begun 2", "disk failed 2", "disk exhausted 2"]);
  f.alert("raised", "disk_full");
  assert.deepEqual(f.steps(), ["disk_full begun 1"]);
  assert.deepEqual(f.shares, [0.25, 0.25, 0.25]);
  f.alert("cleared", "disk_full");
  assert.deepEqual(f.steps(), ["disk_full recovered 1"]);
  assert.deepEqual(
    f.healing.conditions.map(({ subject }) => subject),
    ["disk"],
    "the one that is spent is still told",
  );
  assert.deepEqual(f.healing.reset(), ["disk", "disk_full"]);
});

test("a corrupt database that is saved is told from beginning to end, once, whether or not a round of checks has seen it", () => {
  const f = fixture();
  f.alert("raised", "database_being_saved");
  f.healing.storeSaved();
  f.alert("cleared", "database_being_saved");
  assert.deepEqual(f.steps(), ["store begun 0", "store recovered 0"]);
  f.healing.storeSaved();
  assert.deepEqual(f.steps(), ["store begun 0", "store recovered 0"]);
});
