/**
 * Goal: an instance is called lost only when it was silent for a whole lease that this hl-cloud itself was well.
 * Method: a clock moved by hand; a store whose write of `last_seen` fails; the API with a lost VM.
 */
import assert from "node:assert/strict";
import test from "node:test";
import { silentLogger } from "@hl/core/logger.ts";
import { ManualClock, settled } from "@hl/testkit/manual-clock.ts";
import type { InstanceStore, Sighting } from "../store/store.ts";
import { DriftingClock } from "../testing/drifting-clock.ts";
import { errorOf, postRpc } from "../testing/fake-vm.ts";
import { testCloud } from "../testing/test-cloud.ts";
import { Leases } from "./leases.ts";
import { Presence } from "./presence.ts";

const leaseMs = 105_000;

test("an instance is offline until its lease is over, then lost, and well again at its next sign of life", async () => {
  const clock = new ManualClock();
  const leases = new Leases({ clock, leaseMs: () => leaseMs, assumedSeconds: 30 });
  await clock.advance(leaseMs + 1);
  leases.heardOf("vm-1");
  const state = () => leases.stateOf("vm-1", false);
  await clock.advance(leaseMs);
  assert.equal(state(), "offline");
  await clock.advance(1);
  assert.equal(state(), "lost");
  assert.equal(leases.stateOf("vm-1", true), "online");
  leases.heardOf("vm-1");
  assert.equal(state(), "offline");
});

test("nobody is lost within a lease after the start, also who was silent for days before", async () => {
  const clock = new ManualClock();
  await clock.advance(5_000_000);
  const leases = new Leases({ clock, leaseMs: () => leaseMs, assumedSeconds: 30 });
  await clock.advance(leaseMs);
  assert.equal(leases.stateOf("vm-1", false), "offline");
  await clock.advance(1);
  assert.equal(leases.stateOf("vm-1", false), "lost");
});

test("a failed write of last_seen loses no sighting, gives everybody a new lease, and is repeated", async () => {
  const clock = new ManualClock();
  const leases = new Leases({ clock, leaseMs: () => leaseMs, assumedSeconds: 30 });
  const written: Sighting[] = [];
  let broken = true;
  const store: Pick<InstanceStore, "touch"> = {
    touch: async (sightings) => {
      if (broken) throw new Error("disk I/O error");
      written.push(...sightings);
    },
  };
  const presence = new Presence({ store, leases, clock, logger: silentLogger, flushIntervalMs: 15_000 });
  await presence.start();
  await clock.advance(leaseMs - 5_000);
  presence.seen("vm-1", { status: "healthy" });
  assert.equal(leases.stateOf("vm-2", false), "offline");
  await clock.advance(15_000); // The write fails in this time, a little before the first lease would be over.
  assert.equal(leases.stateOf("vm-2", false), "offline");
  broken = false;
  await clock.advance(15_000);
  assert.deepEqual(
    written.map(({ instanceId, heartbeat }) => [instanceId, heartbeat]),
    [["vm-1", { status: "healthy" }]],
  );
  await clock.advance(leaseMs);
  assert.equal(leases.stateOf("vm-2", false), "lost");
  const stopping = presence[Symbol.asyncDispose]();
  await settled();
  await stopping;
});

test("a lost VM is shown as lost, and requests to it still queue", async () => {
  const clock = new DriftingClock();
  await using fixture = await testCloud({ clock });
  const vm = await fixture.connect("vm-1", async () => ({}));
  const headers = { authorization: `Bearer ${fixture.admin}` };
  const shown = async () => {
    const response = await fetch(`${fixture.url}/v1/instances`, { headers });
    const { instances } = (await response.json()) as { instances: { online: boolean; state: string }[] };
    return instances.map(({ online, state }) => [online, state]);
  };
  clock.driftMs = 10 * leaseMs;
  assert.deepEqual(await shown(), [[true, "online"]]);
  await vm[Symbol.asyncDispose]();
  while ((await shown())[0]?.[1] === "online") await settled();
  assert.deepEqual(await shown(), [[false, "offline"]]);
  clock.driftMs += leaseMs + 60_000;
  assert.deepEqual(await shown(), [[false, "lost"]]);
  const queued = await postRpc(`${fixture.url}/v1/instances/vm-1/rpc?wait=0`, fixture.admin, "command/execute", {
    command_id: "c-1",
    command: "true",
  });
  assert.deepEqual([queued.status, errorOf(queued).data["queued"]], [503, true]);
});
