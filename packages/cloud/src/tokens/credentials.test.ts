import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { readFileSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { systemClock, type Clock } from "@hl/core/clock.ts";
import { createLocalJWKSet, jwtVerify, type JSONWebKeySet } from "jose";
import { connectVm, errorOf, postRpc, register, registerParams, type RpcReply } from "../testing/fake-vm.ts";
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

// Goal: an enrolment token lets one instance in, once; a lost answer may be asked for again until its tokens are used.
// Method: register with the wrong instance, twice with the right one, then use a token, then once more.
test("enrolment: bound to its instance, single use, repeatable until its tokens are used", async () => {
  await using fixture = await testCloud();
  const token = await fixture.cloud.enroll("vm-1");
  const url = `${fixture.url}/v1/vm/register`;

  const stranger = await postRpc(url, token, "vm/register", registerParams("vm-2"));
  assert.equal(stranger.status, 401);
  assert.equal(errorOf(stranger).code, 1703);

  const first = await register(fixture.url, token, "vm-1");
  const again = await register(fixture.url, token, "vm-1");
  assert.deepEqual(again, first);

  const alive = await postRpc(`${fixture.url}/v1/vm/heartbeat`, first.access_token, "vm/heartbeat", heartbeat);
  assert.equal(alive.body.result?.["heartbeat_interval"], 30);
  const late = await postRpc(url, token, "vm/register", registerParams("vm-1"));
  assert.equal(errorOf(late).code, 1703);

  const renewed = await register(fixture.url, first.access_token, "vm-1");
  assert.equal(renewed.registration_id, first.registration_id);
  const foreign = await postRpc(url, first.access_token, "vm/register", registerParams("vm-2"));
  assert.equal(foreign.status, 403);
});

// Goal: an enrolment token dies at its time, and nothing lets in a token that was never made.
test("enrolment: expired, unknown and missing tokens are refused", async () => {
  let skewMs = 0;
  const clock: Clock = { ...systemClock, wallMs: () => systemClock.wallMs() + skewMs };
  await using fixture = await testCloud({ clock });
  const token = await fixture.cloud.enroll("vm-1", { ttlSeconds: 60 });
  const url = `${fixture.url}/v1/vm/register`;
  skewMs = 60_000;
  assert.equal(errorOf(await postRpc(url, token, "vm/register", registerParams("vm-1"))).code, 1703);
  assert.equal(errorOf(await postRpc(url, "hle_never-made", "vm/register", registerParams("vm-1"))).code, 1703);
  assert.equal(errorOf(await postRpc(url, undefined, "vm/register", registerParams("vm-1"))).code, 1001);
});

// Goal: C4: a lost reply locks nobody out, and two holders of one identity are noticed.
// Method: rotate, repeat the rotation, forget the rotation id, rotate on; then present what was replaced.
test("C4: rotation repeats its answer, keeps the previous token until the next is used, and fences a copied identity", async () => {
  await using fixture = await testCloud();
  await using vm = await fixture.connect("vm-1", async () => ({}));
  const refresh = (refresh_token: unknown, rotation_id: string): Promise<RpcReply> =>
    postRpc(`${fixture.url}/v1/vm/token`, undefined, "vm/token/refresh", { refresh_token, rotation_id });
  const rotation = randomUUID();

  const lost = await refresh(vm.tokens.refresh_token, rotation);
  const repeated = await refresh(vm.tokens.refresh_token, rotation);
  assert.deepEqual(repeated.body.result, lost.body.result);
  const forgotten = await refresh(vm.tokens.refresh_token, randomUUID());
  assert.notEqual(forgotten.body.result?.["refresh_token"], lost.body.result?.["refresh_token"]);

  const next = await refresh(forgotten.body.result?.["refresh_token"], randomUUID());
  assert.ok(next.body.result?.["refresh_token"]);

  const copied = await refresh(vm.tokens.refresh_token, randomUUID());
  assert.equal(copied.status, 401);
  assert.equal(errorOf(copied).code, 1704);
  assert.equal(await vm.peer.closed, "these credentials are fenced");
  assert.equal(errorOf(await refresh(next.body.result["refresh_token"], randomUUID())).code, 1704);
  const access = String(next.body.result["access_token"]);
  const beat = await postRpc(`${fixture.url}/v1/vm/heartbeat`, access, "vm/heartbeat", heartbeat);
  assert.equal(errorOf(beat).code, 1704);
  await assert.rejects(
    connectVm(fixture.url, access, async () => ({})),
    { status: 401 },
  );
  assert.equal((await fixture.cloud.store.instances.get("vm-1"))?.fencedAtMs === undefined, false);

  await fixture.addVm("vm-1"); // A new enrolment is the way back.
  assert.equal((await fixture.cloud.store.instances.get("vm-1"))?.fencedAtMs, undefined);
});

// Goal: a VM that was off for longer than its refresh token holds has to enrol again; each renewal begins that time anew.
test("refresh tokens hold as long as configured, from their last renewal", async () => {
  const dayMs = 86_400_000;
  let skewMs = 0;
  const clock: Clock = { ...systemClock, wallMs: () => systemClock.wallMs() + skewMs };
  await using fixture = await testCloud({ clock, limits: { refreshLifeMs: 2 * dayMs } });
  const refresh = (refresh_token: unknown): Promise<RpcReply> =>
    postRpc(`${fixture.url}/v1/vm/token`, undefined, "vm/token/refresh", { refresh_token, rotation_id: randomUUID() });
  const { refresh_token } = await fixture.addVm("vm-1");
  skewMs = 2 * dayMs - 60_000;
  const renewed = await refresh(refresh_token);
  assert.equal(renewed.status, 200);
  skewMs += 2 * dayMs - 60_000;
  const again = await refresh(renewed.body.result?.["refresh_token"]);
  assert.equal(again.status, 200);
  skewMs += 2 * dayMs + 1_000;
  const late = await refresh(again.body.result?.["refresh_token"]);
  assert.equal(late.status, 401);
  assert.match(late.body.error?.message ?? "", /the refresh token has expired/);
});

// Goal: anybody can check an access token with the published key, and it lives as long as configured.
test("access tokens verify against the JWKS and expire", async () => {
  let skewMs = 0;
  const clock: Clock = { ...systemClock, wallMs: () => systemClock.wallMs() + skewMs };
  await using fixture = await testCloud({ clock, limits: { accessTokenSeconds: 60 } });
  const { access_token } = await fixture.addVm("vm-1");
  const jwks = (await (await fetch(`${fixture.url}/.well-known/jwks.json`)).json()) as JSONWebKeySet;
  const { payload, protectedHeader } = await jwtVerify(access_token, createLocalJWKSet(jwks), {
    issuer: "humanlayer.dev",
    audience: "hl-daemon",
  });
  assert.equal(payload.sub, "vm-1");
  assert.equal(payload["role"], "vm-instance");
  assert.equal((payload.exp ?? 0) - (payload.iat ?? 0), 60);
  assert.equal(protectedHeader.kid, jwks.keys[0]?.kid);
  assert.deepEqual(Object.keys(jwks.keys[0] ?? {}).sort(), ["alg", "e", "kid", "kty", "n", "use"], "no private part");
  skewMs = 61_000;
  const late = await postRpc(`${fixture.url}/v1/vm/heartbeat`, access_token, "vm/heartbeat", heartbeat);
  assert.equal(late.status, 401);
  assert.equal(errorOf(late).code, 1001);
});

// Goal: X4: what is on disk lets nobody in.
// Method: search every file of the home for every token that was handed out; look at the modes.
test("X4: tokens are stored only hashed, and keys are readable for their owner only", async () => {
  await using fixture = await testCloud();
  const enrollment = await fixture.cloud.enroll("vm-9");
  const tokens = await fixture.addVm("vm-1");
  const { body } = await postRpc(`${fixture.url}/v1/vm/token`, undefined, "vm/token/refresh", {
    refresh_token: tokens.refresh_token,
    rotation_id: randomUUID(),
  });
  const secrets = [
    enrollment,
    fixture.admin,
    tokens.access_token,
    tokens.refresh_token,
    body.result?.["refresh_token"],
  ];
  const files = readdirSync(fixture.home, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  assert.ok(files.length >= 4);
  for (const file of files) {
    const path = join(file.parentPath, file.name);
    const content = readFileSync(path).toString("latin1");
    for (const secret of secrets) assert.equal(content.includes(String(secret)), false, `${file.name} has a token`);
    if (file.name !== "serve.lock") assert.equal(statSync(path).mode & 0o077, 0, `${file.name} is open to others`);
  }
});
