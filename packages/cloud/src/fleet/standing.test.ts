/**
 * Goal: two daemons under one identity are noticed and never merged (C5), a stop spreads the return of the fleet (C3), versions
 * are agreed upon, and a revoked VM is out at once and typed.
 * Method: the whole cloud in this process; scriptable daemons on real sockets.
 */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { test } from "node:test";
import type { Logger } from "@hl/core/logger.ts";
import { silentLogger } from "@hl/core/logger.ts";
import { RpcError } from "@hl/core/rpc/error.ts";
import {
  connectVm,
  errorOf,
  openPeer,
  postBody,
  postRpc,
  register,
  registerParams,
  type RpcReply,
} from "../testing/fake-vm.ts";
import { DriftingClock } from "../testing/drifting-clock.ts";
import { testCloud } from "../testing/test-cloud.ts";

const heartbeat = {
  registration_id: "r",
  status: "healthy",
  uptime: 5,
  spool_depth: 0,
  commands_running: 0,
  agents_running: 0,
  memory_rss_mb: 60,
  clock: 0,
};

const alive = async (): Promise<object> => ({});
const deaf = (): Promise<never> => new Promise(() => {});

const asRun = (url: string, token: string, method: string, params: unknown, runId: string): Promise<RpcReply> =>
  postBody(url, token, JSON.stringify({ jsonrpc: "2.0", id: 1, method, params }), { "hl-run-id": runId });

const code =
  (wanted: number) =>
  (error: unknown): boolean =>
    error instanceof RpcError && error.code === wanted;

test("C5: a second daemon under one identity is turned away wherever it asks; the first goes on, and the operator sees it", async () => {
  const warnings: string[] = [];
  const logger: Logger = { ...silentLogger, warn: (_fields, text) => void warnings.push(text) };
  await using fixture = await testCloud({ logger });
  const tokens = await fixture.addVm("vm-1");
  await using first = await connectVm(fixture.url, tokens.access_token, alive, { run_id: "run-1" });
  assert.equal((await fixture.cloud.store.instances.get("vm-1"))?.identityInUseAtMs, undefined);

  await assert.rejects(connectVm(fixture.url, tokens.access_token, alive, { run_id: "run-2" }), code(1706));
  const at = (path: string, method: string, params: unknown, runId: string): Promise<RpcReply> =>
    asRun(`${fixture.url}/v1/vm/${path}`, tokens.access_token, method, params, runId);
  const rotation = { refresh_token: tokens.refresh_token, rotation_id: randomUUID() };
  const event = { event_id: randomUUID(), event_type: "x", epoch: "epoch-1", seq: 1, timestamp: 0, data: {} };
  for (const [path, method, params] of [
    ["heartbeat", "vm/heartbeat", heartbeat],
    ["events", "event/stream", event],
    ["token", "vm/token/refresh", rotation],
  ] as const) {
    const refused = await at(path, method, params, "run-2");
    assert.equal(refused.status, 409, path);
    assert.equal(errorOf(refused).code, 1706, path);
  }
  assert.equal(first.peer.isClosed, false);
  assert.equal((await at("heartbeat", "vm/heartbeat", heartbeat, "run-1")).status, 200);
  // The copy has rotated nothing away.
  const rotated = await at("token", "vm/token/refresh", rotation, "run-1");
  assert.ok(rotated.body.result?.["refresh_token"]);
  assert.ok(warnings.some((text) => text.includes("may have been copied")));
  const headers = { authorization: `Bearer ${fixture.admin}` };
  const shown = (await (await fetch(`${fixture.url}/v1/instances/vm-1`, { headers })).json()) as Record<
    string,
    unknown
  >;
  assert.equal(typeof shown["identity_in_use_at"], "number");
});

test("C5: an identity in use is an event of the VM, told once however often the copy asks, and again after a while", async () => {
  const clock = new DriftingClock();
  await using fixture = await testCloud({ clock });
  const tokens = await fixture.addVm("vm-1");
  await using _first = await connectVm(fixture.url, tokens.access_token, alive, { run_id: "run-1" });
  const copy = () =>
    assert.rejects(connectVm(fixture.url, tokens.access_token, alive, { run_id: "run-2" }), code(1706));
  const told = async () => {
    const headers = { authorization: `Bearer ${fixture.admin}` };
    const answer = await fetch(`${fixture.url}/v1/instances/vm-1/events`, { headers });
    const { events } = (await answer.json()) as { events: { event_type: string; lane: string; data: object }[] };
    return events.map(({ event_type, lane, data }) => ({ event_type, lane, ...data }));
  };
  await copy();
  await copy();
  clock.driftMs += 599_000;
  await copy();
  const [event, ...more] = await told();
  assert.deepEqual(more, []);
  assert.equal(event?.event_type, "security.identity_in_use");
  assert.equal(event.lane, "critical");
  assert.deepEqual([event["run" as never], event["newcomer" as never]], ["run-1", "run-2"]);
  clock.driftMs += 10_000;
  await copy();
  assert.equal((await told()).length, 2);
});

test("C5: a daemon that comes back replaces a connection behind which nobody answers, without an alarm", async () => {
  await using fixture = await testCloud({ limits: { livenessMs: 100 } });
  const tokens = await fixture.addVm("vm-1");
  for (const runId of ["run-1", "run-2"]) {
    // Half open: its socket is there, nobody is behind it.
    await using lost = await connectVm(fixture.url, tokens.access_token, deaf, { run_id: "run-1" });
    await using next = await connectVm(fixture.url, tokens.access_token, alive, { run_id: runId });
    assert.match(await lost.peer.closed, /nobody answers there any more/);
    assert.equal(next.peer.isClosed, false);
    assert.ok(Number(next.welcome["fence"]) > Number(lost.welcome["fence"]));
  }
  assert.equal((await fixture.cloud.store.instances.get("vm-1"))?.identityInUseAtMs, undefined);
});

test("C5: a copy of a running VM, with the very same process, is noticed when both are there", async () => {
  await using fixture = await testCloud();
  const tokens = await fixture.addVm("vm-1");
  await using first = await connectVm(fixture.url, tokens.access_token, alive, { run_id: "run-1" });
  await assert.rejects(connectVm(fixture.url, tokens.access_token, alive, { run_id: "run-1" }), code(1706));
  assert.equal(first.peer.isClosed, false);
});

test("C3: a stop is announced with the spread before the connection closes", async () => {
  const fixture = await testCloud({ limits: { drainSpreadSeconds: 7 } });
  const tokens = await fixture.addVm("vm-1");
  await using vm = await connectVm(fixture.url, tokens.access_token, alive);
  const told: unknown[] = [];
  vm.peer.onNotification(({ method, params }) => void told.push([method, params]));
  await fixture[Symbol.asyncDispose]();
  await vm.peer.closed;
  assert.deepEqual(told, [["vm/drain", { spread_seconds: 7 }]]);
});

test("hello: the version is agreed upon or refused by name, and an unknown method is answered, not hung up on", async () => {
  await using fixture = await testCloud();
  const tokens = await fixture.addVm("vm-1");
  const newer = { protocol_version: "1.7", protocol_min: "1.0" };
  await using vm = await connectVm(fixture.url, tokens.access_token, alive, newer);
  assert.equal(vm.welcome["protocol_version"], "1.0");
  assert.equal(vm.welcome["heartbeat_interval"], 30);
  await assert.rejects(vm.peer.request("vm/nothing", {}), code(-32601));
  assert.equal(vm.peer.isClosed, false);

  const stranger = await openPeer(`${fixture.url}/v1/vm/commands`, tokens.access_token);
  const hello = {
    registration_id: "r",
    daemon_version: "9",
    protocol_version: "2.0",
    boot_id: "b",
    epoch: "e",
    running: [],
    unacked_results: [],
  };
  await assert.rejects(stranger.request("vm/hello", hello), (error: unknown) => {
    assert.ok(error instanceof RpcError);
    assert.equal(error.code, 1708);
    assert.deepEqual((error.data as Record<string, unknown>)["supported"], ["1.0"]);
    return true;
  });
  stranger.close("done");
});

test("revoked: the connection ends, everything is answered with a typed 403, old enrolment tokens die, a new one lets it in", async () => {
  await using fixture = await testCloud();
  const old = await fixture.cloud.enroll("vm-1");
  await using vm = await fixture.connect("vm-1", alive);
  const { access_token: access, refresh_token: refresh } = vm.tokens;
  const headers = { authorization: `Bearer ${fixture.admin}` };
  const revoked = await fetch(`${fixture.url}/v1/instances/vm-1/revoke`, { method: "POST", headers });
  assert.equal(revoked.status, 200);
  assert.equal(await vm.peer.closed, "this instance was revoked");

  const answers = [
    await postRpc(`${fixture.url}/v1/vm/heartbeat`, access, "vm/heartbeat", heartbeat),
    await postRpc(`${fixture.url}/v1/vm/register`, access, "vm/register", registerParams("vm-1")),
    await postRpc(`${fixture.url}/v1/vm/token`, undefined, "vm/token/refresh", {
      refresh_token: refresh,
      rotation_id: randomUUID(),
    }),
  ];
  assert.deepEqual(
    answers.map((answer) => [answer.status, errorOf(answer).code]),
    [
      [403, 1707],
      [403, 1707],
      [403, 1707],
    ],
  );
  await assert.rejects(connectVm(fixture.url, access, alive), { status: 403 });
  await assert.rejects(register(fixture.url, old, "vm-1"), code(1703));
  const asked = await postRpc(`${fixture.url}/v1/instances/vm-1/rpc`, fixture.admin, "system/info", {});
  assert.equal(errorOf(asked).code, 1707);
  const shown = (await (await fetch(`${fixture.url}/v1/instances/vm-1`, { headers })).json()) as Record<
    string,
    unknown
  >;
  assert.equal(shown["credentials"], "revoked");

  await using back = await fixture.connect("vm-1", alive);
  assert.equal(back.peer.isClosed, false);
  assert.equal((await fixture.cloud.store.instances.get("vm-1"))?.revokedAtMs, undefined);
});
