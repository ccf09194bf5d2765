/** Goal: what happened is in the figures, and only operators see them. Method: the real server, a VM that does one of everything. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";
import { connectVm, postBody, postRpc } from "../testing/fake-vm.ts";
import { testCloud } from "../testing/test-cloud.ts";

test("/metrics counts what VMs and operators do, by names that are documented", async () => {
  await using fixture = await testCloud({ limits: { connectionsPerSecondMax: 0.01, connectionsBurstMax: 1 } });
  const { access_token } = await fixture.addVm("vm-1");
  await fixture.addVm("vm-2");
  const held = Promise.withResolvers<object>();
  await using vm = await connectVm(fixture.url, access_token, () => held.promise);
  const beat = { registration_id: "r", status: "healthy", uptime: 1, spool_depth: 0, commands_running: 0 };
  const params = { ...beat, agents_running: 0, memory_rss_mb: 70, clock: 1 };
  await postRpc(`${fixture.url}/v1/vm/heartbeat`, access_token, "vm/heartbeat", params);
  const event = { event_id: "e-1", event_type: "test.event", timestamp: 1, data: {}, epoch: "epoch-1", seq: 1 };
  const batch = JSON.stringify([{ jsonrpc: "2.0", id: 1, method: "event/stream", params: event }]);
  for (let time = 0; time < 2; time += 1) await postBody(`${fixture.url}/v1/vm/events`, access_token, batch);
  await assert.rejects(connectVm(fixture.url, access_token, async () => ({})));
  const command = { command_id: "c-1", command: "true" };
  const running = postRpc(`${fixture.url}/v1/instances/vm-1/rpc`, fixture.admin, "command/execute", command);
  await vm.nth(1);
  await postRpc(`${fixture.url}/v1/instances/vm-2/rpc?wait=0`, fixture.admin, "command/execute", command);

  const response = await fetch(`${fixture.url}/metrics`, { headers: { authorization: `Bearer ${fixture.admin}` } });
  const text = await response.text();
  assert.match(response.headers.get("content-type") ?? "", /^text\/plain; version=0\.0\.4/);
  const expected: Readonly<Record<string, string>> = {
    hl_cloud_connections: "1",
    'hl_cloud_instances{state="online"}': "1",
    'hl_cloud_instances{state="offline"}': "1",
    'hl_cloud_instances{state="lost"}': "0",
    hl_cloud_requests_in_flight: "1",
    hl_cloud_requests_queued: "1",
    hl_cloud_heartbeats_total: "1",
    hl_cloud_events_ingested_total: "1",
    hl_cloud_events_repeated_total: "1",
    'hl_cloud_admitted_total{what="connections"}': "1",
    'hl_cloud_admission_refused_total{what="connections"}': "1",
    'hl_cloud_rate_limited_total{what="events"}': "0",
  };
  const figures = new Map(
    text
      .split("\n")
      .filter((line) => !line.startsWith("#"))
      .map((line) => [line.slice(0, line.lastIndexOf(" ")), line.slice(line.lastIndexOf(" ") + 1)]),
  );
  for (const [name, value] of Object.entries(expected)) assert.equal(figures.get(name), value, name);
  assert.ok(Number(figures.get("hl_cloud_memory_rss_bytes")) > 0);
  const page = readFileSync(new URL("../../../../docs/hl-cloud.md", import.meta.url), "utf8");
  const names = [...text.matchAll(/^# TYPE hl_cloud_(\S+)/gm)].map(([, name = ""]) => name);
  assert.deepEqual(
    names.filter((name) => !new RegExp(`\`${name}[\`{]`).test(page)),
    [],
    "not in docs/hl-cloud.md",
  );
  assert.ok(figures.has('hl_cloud_loop_delay_seconds{quantile="0.99"}'));
  held.resolve({});
  await running;
});

test("X3: /metrics needs an operator, of any role", async () => {
  await using fixture = await testCloud();
  const viewer = await fixture.cloud.addOperator("prometheus", "viewer");
  const status = async (token?: string): Promise<number> => {
    const headers: Record<string, string> = token === undefined ? {} : { authorization: `Bearer ${token}` };
    return (await fetch(`${fixture.url}/metrics`, { headers })).status;
  };
  const { access_token } = await fixture.addVm("vm-1");
  assert.deepEqual([await status(), await status(access_token), await status(viewer)], [401, 401, 200]);
});
