/**
 * Goal: health says what is wrong and no more: one busy moment is no alert, a change is told once, and a disk that cannot be asked
 * takes nothing along. Method: the real figures of this machine against thresholds that they must, or cannot, pass; time by hand.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { systemClock } from "@hl/core/clock.ts";
import { joined } from "@hl/core/joined.ts";
import { ManualClock } from "@hl/testkit/manual-clock.ts";
import type { Condition } from "./alert-book.ts";
import { LoopDelay } from "./loop-delay.ts";
import { HealthMonitor, type Health, type HealthSources, type MonitorOptions } from "./monitor.ts";
import { prometheusText } from "./prometheus.ts";
import { SystemSampler } from "./system-metrics.ts";

const never = { cpuPercent: 1e9, memoryPercent: 1e9, diskPercent: 1e9, loadPerCore: 1e9 };
/** Some memory is always in use. */
const memoryAlways = { ...never, memoryPercent: -1 };

interface Fixture {
  readonly clock: ManualClock;
  readonly monitor: HealthMonitor;
  readonly told: Health[];
  readonly samples: number[];
  conditions: Condition[];
}

function fixture(changes: Partial<MonitorOptions> = {}, sources: Partial<HealthSources> = {}): Fixture {
  const clock = new ManualClock();
  const told: Health[] = [];
  const samples: number[] = [];
  const f: Fixture = {
    clock,
    told,
    samples,
    conditions: [],
    monitor: new HealthMonitor(
      joined<MonitorOptions, Partial<MonitorOptions>>(
        {
          version: "1",
          clock,
          thresholds: never,
          cores: 2,
          diskPath: "/",
          intervalMs: 60_000,
          onChange: (health) => told.push(health),
          onSample: () => samples.push(clock.now()),
          sources: {
            spool: () => ({ depth: 0, bytes: 0, oldest_age: 0, rejected: 0, gaps: 0, dead_letters: 0 }),
            commands: () => ({ running: 0, finished: 0 }),
            agents: () => [],
            agentUsage: () => undefined,
            agentFailed: () => false,
            cloud: () => ({
              configured: true,
              connected: true,
              last_contact: null,
              reconnects: 0,
              lastError: undefined,
            }),
            conditions: () => f.conditions,
            ...sources,
          },
        },
        changes,
      ),
    ),
  };
  return f;
}

/** A check of the registry of that severity, without a hold-off. */
const alert = (severity: "warning" | "critical"): Condition => ({
  code: severity === "warning" ? "disk_full" : "certificate_expired",
  text: "x",
});

describe("health monitor", () => {
  test("a threshold alerts at the second check in a row, and its end is told like its beginning", async () => {
    const thresholds = { ...memoryAlways };
    const f = fixture({ thresholds });
    await f.monitor.start();
    await f.clock.advance(59_999);
    assert.deepEqual(
      f.told.map(({ status }) => status),
      ["healthy"],
    );
    await f.clock.advance(1);
    assert.deepEqual(
      f.told.map(({ status }) => status),
      ["healthy", "degraded"],
    );
    assert.deepEqual(
      f.told[1]?.alerts.map(({ code }) => code),
      ["memory_high"],
    );
    await f.clock.advance(600_000);
    assert.equal(f.told.length, 2, "told once");
    thresholds.memoryPercent = 1e9;
    await f.clock.advance(60_000);
    assert.deepEqual(
      f.told.map(({ status }) => status),
      ["healthy", "degraded", "healthy"],
    );
    assert.equal(f.samples.length, 13);
    await f.monitor[Symbol.asyncDispose]();
    assert.equal(f.clock.timers, 0);
  });

  test("settings that change hold at once: whether there are rounds, how often, and what is an alert", async () => {
    const settings: Pick<MonitorOptions, "enabled" | "intervalMs" | "thresholds"> = {
      enabled: false,
      intervalMs: 60_000,
      thresholds: memoryAlways,
    };
    const now = { ...settings };
    const f = fixture({
      get enabled() {
        return now.enabled;
      },
      get intervalMs() {
        return now.intervalMs;
      },
      get thresholds() {
        return now.thresholds;
      },
    });
    const change = async (changes: Partial<typeof settings>): Promise<void> => {
      Object.assign(now, changes);
      f.monitor.settingsChanged();
      await f.clock.advance(0);
    };
    await f.monitor.start();
    await f.clock.advance(600_000);
    assert.deepEqual(f.samples, []);
    await change({ enabled: true });
    assert.deepEqual(f.samples, [600_000]);
    await change({ intervalMs: 1_000 });
    await f.clock.advance(3_000);
    assert.deepEqual(f.samples.slice(1), [600_000, 601_000, 602_000, 603_000]);
    assert.equal(f.monitor.read(false).status, "degraded");
    await change({ thresholds: never });
    assert.equal(f.monitor.read(false).status, "healthy");
    await change({ enabled: false });
    await f.clock.advance(10_000);
    assert.equal(f.samples.length, 6);
    assert.equal(f.clock.timers, 1, "one sleep at a time");
    await f.monitor[Symbol.asyncDispose]();
  });

  test("the loop is looked at while rounds are made, and no longer", async () => {
    const now = { enabled: true };
    const f = fixture({
      loopDelay: new LoopDelay(20),
      get enabled() {
        return now.enabled;
      },
    });
    const heldUp = async (): Promise<number> => {
      await systemClock.sleep(100); // Delays count from the second look on.
      for (const until = performance.now() + 300; performance.now() < until;);
      await systemClock.sleep(1);
      return f.monitor.read(false).process.loop_delay_ms;
    };
    await f.monitor.start();
    await heldUp();
    await f.clock.advance(60_000);
    const seen = await heldUp();
    assert.ok(seen > 200, String(seen));
    now.enabled = false;
    f.monitor.settingsChanged();
    await f.clock.advance(60_000);
    assert.equal(await heldUp(), 0);
    await f.monitor[Symbol.asyncDispose]();
  });

  test("reading health between the checks counts no breach, however often", async () => {
    const f = fixture({ thresholds: memoryAlways });
    await f.monitor.start();
    for (let at = 0; at < 20; at += 1) {
      await f.clock.advance(2_000);
      assert.equal(f.monitor.read(true).status, "healthy");
    }
    await f.monitor[Symbol.asyncDispose]();
  });

  test("the worst condition decides; a check by somebody else tells a change at once, and only a change", () => {
    const f = fixture();
    const statuses = [
      [],
      [alert("warning")],
      [alert("warning"), alert("critical")],
      [alert("critical")],
      [alert("warning")],
      [],
    ];
    for (const conditions of statuses) {
      f.conditions = conditions;
      f.monitor.check();
      f.monitor.check();
    }
    assert.deepEqual(
      f.told.map(({ status }) => status),
      ["healthy", "degraded", "unhealthy", "degraded", "healthy"],
    );
  });

  test("service states: what runs, what failed, and a cloud that is not configured is no trouble", () => {
    const states = (sources: Partial<HealthSources>): string[] =>
      Object.values(fixture({}, sources).monitor.read(false).service_status);
    const cloud = { configured: true, connected: false, last_contact: null, reconnects: 0, lastError: undefined };
    const ended = [{ process_id: "a", status: "ended" }];
    assert.deepEqual(states({}), ["stopped", "connected", "active"]);
    assert.deepEqual(states({ agents: () => ended, agentFailed: () => true }), ["error", "connected", "active"]);
    assert.deepEqual(states({ agents: () => [...ended, { process_id: "b", status: "ready" }] }), [
      "running",
      "connected",
      "active",
    ]);
    assert.deepEqual(states({ cloud: () => cloud }), ["stopped", "disconnected", "inactive"]);
    assert.deepEqual(states({ cloud: () => ({ ...cloud, lastError: "refused" }) }), ["stopped", "error", "inactive"]);
    assert.deepEqual(states({ cloud: () => ({ ...cloud, configured: false }) }), [
      "stopped",
      "disconnected",
      "inactive",
    ]);
  });

  test("the last twenty errors are kept, the detail is only for who asks for it", () => {
    const f = fixture();
    for (let at = 0; at < 25; at += 1) f.monitor.noteError(`e${at}`);
    const { recent_errors: errors } = f.monitor.read(true);
    assert.deepEqual([errors?.length, errors?.[0], errors?.at(-1)], [20, "e5", "e24"]);
    assert.equal(f.monitor.read(false).recent_errors, undefined);
    assert.equal(f.monitor.read(false).agents.list, undefined);
  });

  test("every figure is a number, in health and for Prometheus", () => {
    const health = fixture().monitor.read(true);
    const numbers = JSON.stringify([health.system_metrics, health.process, health.uptime]);
    assert.ok(!numbers.includes("null"), numbers); // What NaN and Infinity become.
    const lines = prometheusText(health).trim().split("\n");
    for (const line of lines.filter((one) => !one.startsWith("#")))
      assert.match(line, /^(?:hl_daemon|process)_[a-z_]+(?:\{lane="[a-z]+"\})? -?\d+(\.\d+)?(e-?\d+)?$/);
  });
});

test("a machine that worked since the last sample was not idle, nor more than busy", () => {
  const sampler = new SystemSampler("/");
  sampler.sample();
  work(300);
  const { cpuPercent } = sampler.sample();
  assert.ok(cpuPercent > 0 && cpuPercent <= 100, String(cpuPercent));
});

function work(ms: number): void {
  for (const until = performance.now() + ms; performance.now() < until;);
}

test("S4: a disk that cannot be asked has no figures, and the others stay", () => {
  const sample = new SystemSampler("/does/not/exist").sample();
  assert.deepEqual([sample.diskPercent, sample.diskFreeMb], [0, 0]);
  assert.ok(sample.memoryUsedMb > 0);
  const { cpuPercent, memoryPercent, diskPercent, diskFreeMb } = new SystemSampler("/").sample();
  for (const percent of [cpuPercent, memoryPercent, diskPercent])
    assert.ok(percent >= 0 && percent <= 100, String(percent));
  assert.ok(diskFreeMb > 0);
});
