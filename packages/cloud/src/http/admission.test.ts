/**
 * Goal: what is over a limit is refused before anything costly is done for it: before a token is looked at or a body is read, with
 * the status and the wait that hl-daemon obeys.
 * Method: a cloud whose limits are small, real sockets, bodies that are announced and never sent.
 */
import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { test } from "node:test";
import { UpgradeRefused } from "@hl/core/rpc/connect-websocket.ts";
import { DriftingClock } from "../testing/drifting-clock.ts";
import { connectVm, errorOf, openPeer, postRpc, registerParams } from "../testing/fake-vm.ts";
import { testCloud } from "../testing/test-cloud.ts";

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

/** The status line and headers that come before any of the body was sent. */
async function answerToHead(url: string, path: string, headers: Readonly<Record<string, string | number>>) {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}`);
  socket.write([`POST ${path} HTTP/1.1`, `host: ${hostname}`, ...lines, "", ""].join("\r\n"));
  const [chunk] = (await once(socket, "data")) as [Buffer];
  socket.destroy();
  return chunk.toString();
}

test("over the rate of new connections a VM is told 503 and when to come, whatever its token, and is let in then", async () => {
  const clock = new DriftingClock();
  await using fixture = await testCloud({ clock, limits: { connectionsPerSecondMax: 0.01, connectionsBurstMax: 1 } });
  const { access_token } = await fixture.addVm("vm-1");
  await using _vm = await connectVm(fixture.url, access_token, async () => ({}));
  for (const token of [access_token, "nonsense"]) {
    const refusal: unknown = await openPeer(`${fixture.url}/v1/vm/commands`, token).catch((error: unknown) => error);
    assert.ok(refusal instanceof UpgradeRefused);
    assert.equal(refusal.status, 503);
    assert.ok(Number(refusal.retryAfter) >= 1, refusal.retryAfter);
    const said = { body: JSON.parse(refusal.body) as { error?: never } };
    assert.equal(errorOf(said).code, 1006);
    assert.ok(Number(errorOf(said).data["retry_after_ms"]) >= 1_000);
  }
  clock.driftMs += 100_000;
  await using _again = await connectVm(fixture.url, access_token, async () => ({}));
});

test("over the rate of registrations and renewals, 503 comes before a body is read", async () => {
  await using fixture = await testCloud({ limits: { registrationsPerSecondMax: 0.01, registrationsBurstMax: 1 } });
  await fixture.addVm("vm-1");
  for (const path of ["/v1/vm/register", "/v1/vm/token"]) {
    const answer = await answerToHead(fixture.url, path, { "content-length": 1_000 });
    assert.match(answer, /^HTTP\/1\.1 503 /);
    assert.match(answer, /\r\nretry-after: \d+\r\n/i);
    assert.match(answer, /"error_type":"overloaded"/);
  }
});

test("an instance over its rate is told 429 and when to come; the others are not", async () => {
  await using fixture = await testCloud({ limits: { heartbeatsPerSecondMax: 0.01, heartbeatsBurstMax: 2 } });
  const [wild, calm] = [await fixture.addVm("wild"), await fixture.addVm("calm")];
  const send = (token: string) => postRpc(`${fixture.url}/v1/vm/heartbeat`, token, "vm/heartbeat", beat);
  assert.deepEqual([(await send(wild.access_token)).status, (await send(wild.access_token)).status], [200, 200]);
  const refused = await send(wild.access_token);
  assert.deepEqual([refused.status, errorOf(refused).code], [429, 1003]);
  assert.ok(Number(refused.headers.get("retry-after")) >= 1);
  assert.equal((await send(calm.access_token)).status, 200);
});

test("an instance that registers again and again is told 429, and no token is made", async () => {
  const limits = { instanceRegistrationsPerSecondMax: 0.01, instanceRegistrationsBurstMax: 2 };
  await using fixture = await testCloud({ limits });
  const { access_token } = await fixture.addVm("vm-1");
  const again = () => postRpc(`${fixture.url}/v1/vm/register`, access_token, "vm/register", registerParams("vm-1"));
  assert.equal((await again()).status, 200);
  const refused = await again();
  assert.deepEqual([refused.status, errorOf(refused).code, refused.body.result], [429, 1003, undefined]);
});

test("a body over its limit is refused by its announced length, unread", async () => {
  await using fixture = await testCloud();
  const { access_token } = await fixture.addVm("vm-1");
  const cases = [
    ["/v1/vm/register", 64 * 1024],
    ["/v1/vm/heartbeat", 64 * 1024],
    ["/v1/vm/status", 1024 * 1024],
    ["/v1/vm/events", 10 * 1024 * 1024],
  ] as const;
  for (const [path, bytesMax] of cases) {
    const headers = { authorization: `Bearer ${access_token}`, "content-type": "application/json" };
    const over = await answerToHead(fixture.url, path, { ...headers, "content-length": bytesMax + 1 });
    assert.match(over, /^HTTP\/1\.1 413 /, path);
    assert.match(over, /"error_type":"request_too_large"/, path);
  }
});
