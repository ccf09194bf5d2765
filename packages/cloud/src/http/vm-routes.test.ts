import assert from "node:assert/strict";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import type { EventCursors } from "../store/store.ts";
import { errorOf, postBody, postRpc, type RpcReply } from "../testing/fake-vm.ts";
import { testCloud } from "../testing/test-cloud.ts";

const event = (seq: number, data: unknown = { n: seq }): Record<string, unknown> => ({
  event_id: `event-${seq}`,
  event_type: "test.event",
  timestamp: 1,
  data,
  severity: "info",
  epoch: "epoch-1",
  seq,
});

const deliver = (events: readonly unknown[]): string =>
  JSON.stringify(events.map((params, index) => ({ jsonrpc: "2.0", id: index, method: "event/stream", params })));

const verdicts = (reply: RpcReply): Map<unknown, unknown> =>
  new Map(
    (reply.body as unknown as { id: number; result?: { status: string }; error?: { code: number } }[]).map((item) => [
      item.id,
      item.result?.status ?? item.error?.code,
    ]),
  );

interface Page {
  events: { row: number; event_id: string; seq: number; data: unknown }[];
  next: number;
}

// Goal: S1, S3: an event is stored once however often it is sent, in the order of its sequence numbers, and each has its own verdict.
// Method: a batch out of order with a malformed and an oversized event in it, sent twice, plain and gzipped; then read in pages.
test("S1: events are judged one by one, stored once and read in order", async () => {
  await using fixture = await testCloud();
  const { access_token } = await fixture.addVm("vm-1");
  const url = `${fixture.url}/v1/vm/events`;
  const batch = deliver([
    event(3),
    event(1),
    { ...event(4), event_type: "no spaces please" },
    event(2, "\ud800 \0 text"),
    event(5, "x".repeat(1024 * 1024)),
  ]);
  for (const [body, headers] of [
    [batch, {}],
    [gzipSync(batch), { "content-encoding": "gzip" }],
  ] as const) {
    const reply = await postBody(url, access_token, body, headers);
    assert.equal(reply.status, 200);
    assert.deepEqual([...verdicts(reply)].sort(), [
      [0, "accepted"],
      [1, "accepted"],
      [2, 1402],
      [3, "accepted"],
      [4, "rejected"],
    ]);
  }
  const read = async (query: string): Promise<Page> => {
    const headers = { authorization: `Bearer ${fixture.admin}` };
    return (await (await fetch(`${fixture.url}/v1/instances/vm-1/events${query}`, { headers })).json()) as Page;
  };
  const first = await read("?limit=2");
  assert.deepEqual(
    first.events.map(({ seq }) => seq),
    [1, 2],
  );
  assert.equal(first.events[1]?.data, "\ud800 \0 text");
  const rest = await read(`?after=${first.next}`);
  assert.deepEqual(
    rest.events.map(({ event_id }) => event_id),
    ["event-3"],
  );
  assert.deepEqual(await read(`?after=${rest.next}`), { events: [], next: rest.next });
});

// Goal: S1, S3: what is here of each lane is known by the same transaction as the events; the same number under another event is told.
// Method: batches with and without lanes, repeated and conflicting; the cursors that a daemon is told when it connects.
test("S3: cursors follow what is stored, and another event with a number in use is a conflict of the epoch", async () => {
  await using fixture = await testCloud();
  const { access_token } = await fixture.addVm("vm-1");
  const url = `${fixture.url}/v1/vm/events`;
  const known = (epoch: string): Promise<EventCursors> => fixture.cloud.store.events.cursors("vm-1", epoch);
  const cursors = async (epoch = "epoch-1"): Promise<unknown> => (await known(epoch)).lanes;
  const send = async (...events: Record<string, unknown>[]): Promise<unknown> =>
    [...verdicts(await postBody(url, access_token, deliver(events)))].sort();
  assert.deepEqual(await cursors(), {});
  const critical = { ...event(2), lane: "critical" };
  assert.deepEqual(await send({ ...event(1), lane: "metric" }, critical, { ...event(4), lane: "metric" }), [
    [0, "accepted"],
    [1, "accepted"],
    [2, "accepted"],
  ]);
  assert.deepEqual(await cursors(), { critical: 2, metric: 4 });
  // Sent again, and told again under another number after a crash: stored once, and passed.
  assert.deepEqual(await send(critical, { ...critical, seq: 5 }), [
    [0, "accepted"],
    [1, "accepted"],
  ]);
  assert.deepEqual(await cursors(), { critical: 5, metric: 4 });
  // Restored from a snapshot it gives its numbers once more.
  assert.deepEqual(await send({ ...event(4), event_id: "other", lane: "session" }, { ...event(6), lane: "session" }), [
    [0, 1403],
    [1, "accepted"],
  ]);
  assert.deepEqual(await cursors(), { critical: 5, metric: 4, session: 6 });
  assert.deepEqual(await send({ ...event(4), event_id: "other", lane: "session", epoch: "next" }), [[0, "accepted"]]);
  assert.deepEqual(await known("next"), { lanes: { session: 4 }, event_ids: { session: "other" } });
  // One that has no lanes has one order for all.
  assert.deepEqual(await send({ ...event(9), epoch: "old" }), [[0, "accepted"]]);
  assert.deepEqual(await cursors("old"), { critical: 9, session: 9, log: 9, metric: 9 });
});

// Goal: S1: a daemon that has compared with another process of hl-cloud, or with none, is told what is here before anything is taken from it; one
// that does not know the header is served as before. Method: the same batch under three headers.
test("S1: a batch of a daemon that has compared with another hl-cloud is not taken; it is told what is here", async () => {
  await using fixture = await testCloud();
  const vm = await fixture.connect("vm-1", () => Promise.resolve({}));
  const { cloud_run_id: runId } = vm.welcome as { cloud_run_id: string };
  const url = `${fixture.url}/v1/vm/events`;
  const send = (seq: number, headers: Record<string, string>): Promise<RpcReply> =>
    postBody(url, vm.tokens.access_token, deliver([{ ...event(seq), lane: "log" }]), headers);
  assert.deepEqual([...verdicts(await send(1, {}))], [[0, "accepted"]]);
  for (const other of ["", "another"]) {
    const [refused] = (await send(2, { "hl-cloud-run-id": other })).body as unknown as RpcReply["body"][];
    const { code, data } = errorOf({ body: refused ?? {} });
    assert.deepEqual(
      [code, data["cloud_run_id"], data["events_acked"]],
      [1404, runId, { epoch: "epoch-1", lanes: { log: 1 }, event_ids: { log: event(1)["event_id"] } }],
    );
  }
  assert.deepEqual([...verdicts(await send(2, { "hl-cloud-run-id": runId }))], [[0, "accepted"]]);
});

// Goal: heartbeats and status reach the operator; last_seen costs no row write until it is flushed.
test("heartbeat and status are what the operator sees", async () => {
  await using fixture = await testCloud();
  const { access_token, registration_id } = await fixture.addVm("vm-1");
  await postRpc(`${fixture.url}/v1/vm/heartbeat`, access_token, "vm/heartbeat", {
    registration_id,
    status: "degraded",
    uptime: 12.5,
    spool_depth: 3,
    commands_running: 2,
    agents_running: 1,
    memory_rss_mb: 71,
    clock: 1,
  });
  assert.equal((await fixture.cloud.store.instances.get("vm-1"))?.heartbeat, undefined);
  const health = { status: "degraded", alerts: [{ code: "disk" }] };
  await postRpc(`${fixture.url}/v1/vm/status`, access_token, "vm/status", { registration_id, health });
  const headers = { authorization: `Bearer ${fixture.admin}` };
  const list = (await (await fetch(`${fixture.url}/v1/instances`, { headers })).json()) as {
    instances: { online: boolean; health: unknown }[];
  };
  assert.equal(list.instances.length, 1);
  assert.equal(list.instances[0]?.online, false);
  assert.deepEqual(list.instances[0].health, {
    status: "degraded",
    uptime: 12.5,
    spool_depth: 3,
    commands_running: 2,
    agents_running: 1,
    memory_rss_mb: 71,
  });
  const detail = (await (await fetch(`${fixture.url}/v1/instances/vm-1`, { headers })).json()) as {
    full_health: unknown;
  };
  assert.deepEqual(detail.full_health, health);
  assert.equal((await fetch(`${fixture.url}/v1/instances/vm-7`, { headers })).status, 404);
});

// Goal: malformed input gets the right error on every address, and the server goes on.
// Method: the same bad bodies against each endpoint with a valid token.
test("malformed bodies: the right error everywhere, and no crash", async () => {
  await using fixture = await testCloud();
  const { access_token } = await fixture.addVm("vm-1");
  const addresses = [
    ["/v1/vm/register", access_token],
    ["/v1/vm/token", undefined],
    ["/v1/vm/heartbeat", access_token],
    ["/v1/vm/status", access_token],
    ["/v1/vm/events", access_token],
    ["/v1/instances/vm-1/rpc", fixture.admin],
  ] as const;
  const deep = `{"jsonrpc":"2.0","id":1,"method":"x","params":${"[".repeat(5_000)}${"]".repeat(5_000)}}`;
  const bodies: readonly (readonly [string | Buffer, number, number, Record<string, string>?])[] = [
    ['{"jsonrpc": "2.0", "id"', 400, -32700],
    ["", 400, -32700],
    [Buffer.from([0xff, 0xfe, 0x00, 0x7b]), 400, -32700],
    [deep, 400, -32600],
    ["[]", 400, -32600],
    ["42", 400, -32600],
    ['{"jsonrpc":"2.0","id":{},"method":"vm/heartbeat"}', 400, -32600],
    ['{"jsonrpc":"2.0","id":1,"method":"no/such"}', 400, -32601],
    ["not gzip", 400, -32700, { "content-encoding": "gzip" }],
    ["{}", 400, -32600, { "content-encoding": "br" }],
    [gzipSync(Buffer.alloc(40 * 1024 * 1024, " ")), 413, 1004, { "content-encoding": "gzip" }],
    [Buffer.alloc(11 * 1024 * 1024, " "), 413, 1004],
  ];
  for (const [path, token] of addresses) {
    for (const [body, status, code, headers] of bodies) {
      const reply = await postBody(fixture.url + path, token, body, headers).catch((error: unknown) => {
        // A client that is still sending when the answer comes may only see its connection end.
        if (body.length > 1024 * 1024) return undefined;
        throw error;
      });
      if (reply === undefined) continue;
      const said = `${path}: ${body.slice(0, 40).toString()}`;
      assert.equal(errorOf(reply).code, code, said);
      assert.equal(reply.status, status, said);
    }
  }
  const wrongTypes = await postRpc(`${fixture.url}/v1/vm/heartbeat`, access_token, "vm/heartbeat", { status: 7 });
  assert.equal(wrongTypes.status, 400);
  assert.equal(errorOf(wrongTypes).code, -32602);
  assert.ok(Array.isArray(errorOf(wrongTypes).data["problems"]));
  assert.equal((await fetch(`${fixture.url}/health`)).status, 200);
});

// Goal: nobody gets in without the right kind of token.
test("tokens of one kind open no door of another", async () => {
  await using fixture = await testCloud();
  const { access_token, refresh_token } = await fixture.addVm("vm-1");
  for (const token of [undefined, fixture.admin, refresh_token, "eyJhbGciOiJub25lIn0.e30.", `${access_token}x`]) {
    const reply = await postBody(`${fixture.url}/v1/vm/events`, token, deliver([event(1)]));
    assert.equal(reply.status, 401);
    assert.equal(errorOf(reply).code, 1001);
  }
  for (const token of [undefined, access_token, "hlo_guess"]) {
    const headers: Record<string, string> = token === undefined ? {} : { authorization: `Bearer ${token}` };
    assert.equal((await fetch(`${fixture.url}/v1/instances`, { headers })).status, 401);
  }
});
