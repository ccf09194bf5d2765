/**
 * Goal: the interval of heartbeats grows with the fleet within its bounds, and nobody is called lost by another interval than the one
 * that he was told.
 * Method: a clock moved by hand; a cloud in this process with VMs that connect.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "@hl/testkit/manual-clock.ts";
import { postRpc } from "../testing/fake-vm.ts";
import { testCloud } from "../testing/test-cloud.ts";
import { Leases } from "./leases.ts";
import { Pace, secondsFor } from "./pace.ts";

const limits = { heartbeatSeconds: 30, heartbeatSecondsMax: 300, fleetHeartbeatsPerSecondMax: 200 };

test("the interval is the configured one until the fleet sends too many heartbeats, and never above the longest", () => {
  const cases = [
    [0, 30],
    [6_000, 30],
    [6_001, 31],
    [20_000, 100],
    [60_000, 300],
    [1_000_000, 300],
  ] as const;
  for (const [count, seconds] of cases) assert.equal(secondsFor(count, limits), seconds, String(count));
});

test("a VM that was told a longer interval keeps a lease of that, and one that was told nothing the lease of the whole fleet", async () => {
  const clock = new ManualClock();
  const leases = new Leases({ clock, leaseMs: (seconds) => 3_000 * seconds + 15_000, assumedSeconds: 60 });
  let count = 20_000;
  const pace = new Pace({ limits, leases, connectedCount: () => count });
  assert.equal(pace.beat("slow"), 100);
  count = 10;
  assert.equal(pace.beat("quick"), 30);
  await clock.advance(105_000);
  assert.equal(leases.stateOf("quick", false), "offline");
  await clock.advance(1);
  // Within the start's own lease nobody is lost.
  assert.equal(leases.stateOf("quick", false), "offline");
  await clock.advance(195_000 - 105_000);
  assert.equal(leases.stateOf("quick", false), "lost");
  assert.equal(leases.stateOf("unknown", false), "lost");
  assert.equal(leases.stateOf("slow", false), "offline");
  await clock.advance(315_000 - 195_000);
  assert.equal(leases.stateOf("slow", false), "lost");
});

test("a shorter interval that a hello is answered with holds from the next heartbeat on", async () => {
  const clock = new ManualClock();
  const leases = new Leases({ clock, leaseMs: (seconds) => 3_000 * seconds + 15_000, assumedSeconds: 30 });
  let count = 20_000;
  const pace = new Pace({ limits, leases, connectedCount: () => count });
  pace.beat("vm-1");
  count = 10;
  assert.equal(pace.welcome("vm-1"), 30);
  await clock.advance(315_000);
  assert.equal(leases.stateOf("vm-1", false), "offline", "its next heartbeat was due after 100 s, as it was told");
  pace.beat("vm-1");
  await clock.advance(105_001);
  assert.equal(leases.stateOf("vm-1", false), "lost");
});

test("VMs are told so in the answers to their hello and their heartbeats", async () => {
  await using fixture = await testCloud({ limits: { heartbeatSeconds: 15, fleetHeartbeatsPerSecondMax: 0.02 } });
  const first = await fixture.connect("vm-1", async () => ({}));
  const second = await fixture.connect("vm-2", async () => ({}));
  assert.deepEqual([first.welcome["heartbeat_interval"], second.welcome["heartbeat_interval"]], [15, 50]);
  const beat = {
    registration_id: "r",
    status: "healthy",
    uptime: 1,
    spool_depth: 0,
    commands_running: 0,
    agents_running: 0,
    memory_rss_mb: 70,
    clock: 1,
  };
  const answer = await postRpc(`${fixture.url}/v1/vm/heartbeat`, first.tokens.access_token, "vm/heartbeat", beat);
  assert.equal(answer.body.result?.["heartbeat_interval"], 100);
  for (const vm of [first, second]) await vm[Symbol.asyncDispose]();
});
