/**
 * Goal: what is over a limit is refused before anything costly is done for it, with the status and the wait that hl-daemon obeys; and
 * who has no credentials takes no place of those who have (ADR 22).
 * Method: a cloud whose limits are small, real sockets, bodies that are announced and never sent.
 */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { connect } from "node:net";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { UpgradeRefused } from "@hl/core/rpc/connect-websocket.ts";
import type { Peer } from "@hl/core/rpc/peer.ts";
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

async function refusalOf(url: string, token: string): Promise<UpgradeRefused> {
  const refusal: unknown = await openPeer(`${url}/v1/vm/commands`, token).catch((error: unknown) => error);
  assert.ok(refusal instanceof UpgradeRefused);
  return refusal;
}

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

test("over the rate of new connections a VM is told 503 and when to come, and is let in then", async () => {
  const clock = new DriftingClock();
  await using fixture = await testCloud({ clock, limits: { connectionsPerSecondMax: 0.01, connectionsBurstMax: 1 } });
  const { access_token } = await fixture.addVm("vm-1");
  await using _vm = await connectVm(fixture.url, access_token, async () => ({}));
  const refusal = await refusalOf(fixture.url, access_token);
  assert.equal(refusal.status, 503);
  assert.ok(Number(refusal.retryAfter) >= 1, refusal.retryAfter);
  const said = { body: JSON.parse(refusal.body) as { error?: never } };
  assert.equal(errorOf(said).code, 1006);
  assert.ok(Number(errorOf(said).data["retry_after_ms"]) >= 1_000);
  clock.driftMs += 100_000;
  await using _again = await connectVm(fixture.url, access_token, async () => ({}));
});

test("attack: however many connections strangers ask for, the VM that comes behind them is let in", async () => {
  const clock = new DriftingClock();
  await using fixture = await testCloud({ clock, limits: { connectionsPerSecondMax: 0.01, connectionsBurstMax: 1 } });
  const { access_token } = await fixture.addVm("vm-1");
  const forged = `${access_token.slice(0, -8)}AAAAAAAA`;
  for (const token of ["nonsense", forged, ...Array.from({ length: 20 }, (_, index) => `${forged}${index}`)]) {
    assert.equal((await refusalOf(fixture.url, token)).status, 401);
    const polled = await fetch(`${fixture.url}/v1/vm/commands?session=1`, {
      method: "POST",
      headers: { authorization: `Bearer ${token}` },
      body: "[]",
    });
    assert.equal(polled.status, 401);
  }
  await using _vm = await connectVm(fixture.url, access_token, async () => ({}));
});

test("attack: registrations and renewals of strangers take no place, and have no body read where it can be known before", async () => {
  await using fixture = await testCloud({ limits: { registrationsPerSecondMax: 0.01, registrationsBurstMax: 2 } });
  const vm = await fixture.addVm("vm-1");
  const refresh = (refresh_token: string) =>
    postRpc(`${fixture.url}/v1/vm/token`, undefined, "vm/token/refresh", { refresh_token, rotation_id: randomUUID() });
  for (const bearer of [undefined, "nonsense", `hle_${"A".repeat(43)}`]) {
    const headers = { "content-length": 1_000, ...(bearer === undefined ? {} : { authorization: `Bearer ${bearer}` }) };
    const answer = await answerToHead(fixture.url, "/v1/vm/register", headers);
    assert.match(answer, /^HTTP\/1\.1 40[13] /, bearer);
  }
  for (const forged of ["nonsense", `${vm.refresh_token.slice(0, -8)}AAAAAAAA`]) {
    assert.equal((await refresh(forged)).status, 401);
  }
  const renewed = await refresh(vm.refresh_token);
  assert.equal(renewed.status, 200, "the second place of the two is there for it");
});

test("over the rate of registrations and renewals those that have credentials are told 503, a registration before its body is read", async () => {
  await using fixture = await testCloud({ limits: { registrationsPerSecondMax: 0.01, registrationsBurstMax: 1 } });
  const { refresh_token } = await fixture.addVm("vm-1");
  const authorization = `Bearer ${await fixture.cloud.enroll("vm-2")}`;
  const answer = await answerToHead(fixture.url, "/v1/vm/register", { "content-length": 1_000, authorization });
  assert.match(answer, /^HTTP\/1\.1 503 /);
  assert.match(answer, /\r\nretry-after: \d+\r\n/i);
  assert.match(answer, /"error_type":"overloaded"/);
  const params = { refresh_token, rotation_id: randomUUID() };
  const renewal = await postRpc(`${fixture.url}/v1/vm/token`, undefined, "vm/token/refresh", params);
  assert.deepEqual([renewal.status, errorOf(renewal).code], [503, 1006]);
  assert.ok(Number(renewal.headers.get("retry-after")) >= 1);
});

test("attack: an enrolled VM that runs wild is told 429 and takes no place of the others", async () => {
  await using fixture = await testCloud({
    limits: {
      connectionsPerSecondMax: 0.01,
      connectionsBurstMax: 3,
      instanceConnectionsPerSecondMax: 0.01,
      instanceConnectionsBurstMax: 2,
      registrationsPerSecondMax: 0.01,
      registrationsBurstMax: 4,
      instanceRenewalsPerSecondMax: 0.01,
      instanceRenewalsBurstMax: 1,
    },
  });
  const [wild, calm] = [await fixture.addVm("wild"), await fixture.addVm("calm")];
  for (const status of [undefined, undefined, 429, 429]) {
    const outcome = await openPeer(`${fixture.url}/v1/vm/commands`, wild.access_token).catch((error: unknown) => error);
    if (outcome instanceof UpgradeRefused) assert.equal(outcome.status, status);
    else (outcome as Peer).close("enough");
  }
  await using _vm = await connectVm(fixture.url, calm.access_token, async () => ({}));
  const rotation_id = randomUUID();
  const renew = async (refresh_token: string): Promise<number> =>
    (await postRpc(`${fixture.url}/v1/vm/token`, undefined, "vm/token/refresh", { refresh_token, rotation_id })).status;
  assert.deepEqual([await renew(wild.refresh_token), await renew(wild.refresh_token)], [200, 429]);
  assert.equal(await renew(calm.refresh_token), 200);
});

test("attack: a small body that inflates is refused before anybody has shown who he is", async () => {
  await using fixture = await testCloud();
  const bomb = gzipSync(Buffer.alloc(8 * 1024 * 1024, 32));
  const headers = { "content-encoding": "gzip" };
  const answer = await fetch(`${fixture.url}/v1/vm/token`, { method: "POST", headers, body: new Uint8Array(bomb) });
  assert.equal(answer.status, 413);
  assert.match(await answer.text(), /inflates to more than 1048576 bytes/);
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
