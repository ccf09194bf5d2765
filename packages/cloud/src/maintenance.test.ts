/**
 * Goal: P7: every table that grows has an age at which its rows go, and what is still needed stays.
 * Method: a cloud whose clock is put forward before its maintenance runs once more; rows of each kind, counted in the database.
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import test from "node:test";
import { silentLogger } from "@hl/core/logger.ts";
import { ManualClock, settled } from "@hl/testkit/manual-clock.ts";
import { temporaryFolder } from "@hl/testkit/programs.ts";
import { defaultLimits } from "./cloud-limits.ts";
import { Maintenance } from "./maintenance.ts";
import { DriftingClock } from "./testing/drifting-clock.ts";
import { connectVm, errorOf, postBody, postRpc } from "./testing/fake-vm.ts";
import { testCloud } from "./testing/test-cloud.ts";

const dayMs = 24 * 3_600_000;

test("P7: what is old goes from every table, and what an instance still waits for stays", async () => {
  using folder = temporaryFolder("hl-maintenance");
  const home = folder.path;
  const clock = new DriftingClock();
  const count = (): Record<string, number> => {
    using database = new DatabaseSync(join(home, "cloud.db"), { readOnly: true });
    const tables = ["instances", "families", "enrollments", "events", "requests"];
    return Object.fromEntries(
      tables.map((name) => [name, database.prepare(`SELECT count(*) AS n FROM ${name}`).get()!["n"] as number]),
    );
  };
  let admin: string;
  {
    await using fixture = await testCloud({ home, clock });
    admin = fixture.admin;
    const { access_token } = await fixture.addVm("vm-1");
    await fixture.addVm("vm-2");
    await fixture.cloud.enroll("never-came");
    await using _vm = await connectVm(fixture.url, access_token, async () => ({ status: "completed" }));
    const params = { event_id: "e-1", event_type: "test.event", timestamp: 1, data: {}, epoch: "epoch-1", seq: 1 };
    const event = { jsonrpc: "2.0", id: 1, method: "event/stream", params };
    await postBody(`${fixture.url}/v1/vm/events`, access_token, JSON.stringify([event]));
    for (const id of ["vm-1", "vm-2"]) {
      const command = { command_id: `c-${id}`, command: "true" };
      await postRpc(`${fixture.url}/v1/instances/${id}/rpc?wait=0`, admin, "command/execute", command);
    }
  }
  assert.deepEqual(count(), { instances: 2, families: 2, enrollments: 3, events: 1, requests: 2 });
  const until = async (wanted: Record<string, number>): Promise<void> => {
    // Each start of the cloud sweeps once.
    await using fixture = await testCloud({ home, clock, limits: { returnWithinMs: 0 } });
    while (JSON.stringify(count()) !== JSON.stringify(wanted)) await settled();
    assert.equal((await fetch(`${fixture.url}/health`)).status, 200);
  };
  clock.driftMs = 2 * dayMs;
  {
    // A VM may be at work on what an earlier run sent it: nothing is given up before it had time to come back.
    await using fixture = await testCloud({ home, clock });
    while (count()["enrollments"] !== 0) await settled();
    await settled();
    assert.equal((await fixture.cloud.store.requests.unsettled("vm-2")).length, 1);
  }
  // Enrolments have expired, and so has the request of the VM that never came back.
  await until({ instances: 2, families: 2, enrollments: 0, events: 1, requests: 2 });
  {
    await using fixture = await testCloud({ home, clock, limits: { returnWithinMs: 0 } });
    while ((await fixture.cloud.store.requests.unsettled("vm-2")).length > 0) await settled();
  }
  clock.driftMs = 8 * dayMs;
  await until({ instances: 2, families: 2, enrollments: 0, events: 1, requests: 1 });
  clock.driftMs = 40 * dayMs;
  await until({ instances: 2, families: 0, enrollments: 0, events: 0, requests: 0 });
  clock.driftMs = 100 * dayMs;
  await until({ instances: 0, families: 0, enrollments: 0, events: 0, requests: 0 });
});

test("an instance with a queued request is not forgotten, and a failing table does not keep the others from their turn", async () => {
  await using fixture = await testCloud();
  const { store } = fixture.cloud;
  await fixture.addVm("quiet");
  await fixture.addVm("waited-for");
  const queued = await postRpc(`${fixture.url}/v1/instances/waited-for/rpc?wait=0`, fixture.admin, "command/execute", {
    command_id: "c-1",
    command: "true",
  });
  assert.equal(errorOf(queued).data["queued"], true);
  const clock = new ManualClock();
  await clock.advance(Date.now() + 1_000 * dayMs);
  const forgotten: string[] = [];
  await using maintenance = new Maintenance({
    ...defaultLimits,
    store: { ...store, events: { prune: () => Promise.reject(new Error("disk I/O error")) } },
    clock,
    logger: silentLogger,
    expireRequests: async () => 0,
    onForgotten: (id) => void forgotten.push(id),
  });
  await maintenance.start();
  while (forgotten.length === 0) await settled();
  assert.deepEqual(forgotten, ["quiet"]);
  assert.deepEqual(await store.instances.ids(), ["waited-for"]);
});
