/**
 * Goal: the command channel over polls has the limits of the one over a WebSocket: how many sessions of one VM, and how many new ones a second.
 * Method: a cloud in this process, greeted over real HTTP.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "@hl/testkit/manual-clock.ts";
import { testCloud, type TestCloud } from "../testing/test-cloud.ts";

const params = {
  registration_id: "r",
  daemon_version: "1",
  protocol_version: "1.0",
  boot_id: "b",
  epoch: "e",
  running: [],
  unacked_results: [],
};

async function greet(fixture: TestCloud, token: string, session: string): Promise<{ status: number; text: string }> {
  const answer = await fetch(`${fixture.url}/v1/vm/commands?session=${session}`, {
    method: "POST",
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
    body: JSON.stringify([{ jsonrpc: "2.0", id: session, method: "vm/hello", params }]),
  });
  return { status: answer.status, text: await answer.text() };
}

test("P7: a VM has at most four sessions over polls; one more is told to come later", async () => {
  // Those that were replaced stay for a moment, to be told why: it must not pass while this runs.
  await using fixture = await testCloud({ clock: new ManualClock() });
  const { access_token } = await fixture.addVm("vm-1");
  for (const session of ["1", "2", "3", "4"]) assert.equal((await greet(fixture, access_token, session)).status, 200);
  const refused = await greet(fixture, access_token, "5");
  assert.equal(refused.status, 429);
  assert.match(refused.text, /4 sessions of this instance are open/);
  // What is open goes on.
  assert.equal((await greet(fixture, access_token, "4")).status, 200);
});

test("over the rate of new connections a session over polls is told 503 like any other", async () => {
  await using fixture = await testCloud({ limits: { connectionsPerSecondMax: 0.01, connectionsBurstMax: 1 } });
  const { access_token } = await fixture.addVm("vm-1");
  assert.equal((await greet(fixture, access_token, "1")).status, 200);
  const refused = await greet(fixture, access_token, "2");
  assert.equal(refused.status, 503);
  assert.match(refused.text, /new connections/);
});

test("a stop leaves no timer of a session that has ended", async () => {
  const clock = new ManualClock();
  {
    await using fixture = await testCloud({ clock });
    const { access_token } = await fixture.addVm("vm-1");
    assert.equal((await greet(fixture, access_token, "1")).status, 200);
    const headers = { authorization: `Bearer ${access_token}` };
    await fetch(`${fixture.url}/v1/vm/commands?session=1`, { method: "DELETE", headers });
    assert.equal((await greet(fixture, access_token, "2")).status, 200);
  }
  assert.equal(clock.timers, 0);
});
