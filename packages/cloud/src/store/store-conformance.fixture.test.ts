/**
 * What every engine of hl-cloud's store must do, as tests: whoever writes a second one runs them against it. They see it through
 * the interface alone; `reopen` stands for a crash and a new process, so what was answered before must be there after it.
 */
import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import type { EventRecord, FamilyRecord, NewEvent, Registration, RequestRecord, Store } from "./store.ts";

export interface StoreUnderTest extends AsyncDisposable {
  readonly store: Store;
  /** Closes it and opens what it has kept. */
  reopen(): Promise<Store>;
}

export function storeConformance(engine: string, open: () => Promise<StoreUnderTest>): void {
  const check = (name: string, body: (under: StoreUnderTest, t: TestContext) => Promise<void>): void => {
    test(`${engine}: ${name}`, async (t) => {
      await using under = await open();
      await body(under, t);
    });
  };
  instanceTests(check);
  credentialTests(check);
  operatorTests(check);
  eventTests(check);
  requestTests(check);
}

type Check = (name: string, body: (under: StoreUnderTest) => Promise<void>) => void;

function instanceTests(check: Check): void {
  check("an instance that registers again keeps its registration, and the rest is as it says now", async (under) => {
    const { instances } = under.store;
    assert.equal(await instances.register(registration("vm-1", { registrationId: "r-1", atMs: 1_000 })), "r-1");
    const again = registration("vm-1", { registrationId: "r-2", atMs: 2_000, workspaceId: "other", epoch: "e-2" });
    assert.equal(await instances.register(again), "r-1");
    const record = await (await under.reopen()).instances.get("vm-1");
    assert.equal(record?.registeredAtMs, 1_000);
    assert.deepEqual([record.lastSeenMs, record.workspaceId, record.epoch], [2_000, "other", "e-2"]);
    assert.deepEqual([record.capabilities, record.systemInfo], [["command"], { os: "linux" }]);
    assert.deepEqual([record.heartbeat, record.health, record.fencedAtMs], [undefined, undefined, undefined]);
  });

  check("hello, health and sightings are kept; last_seen never goes back", async (under) => {
    const { instances } = under.store;
    await instances.register(registration("vm-1", { atMs: 5_000 }));
    await instances.setHello("vm-1", { daemonVersion: "2.0", epoch: "e-3", bootId: "b-1" });
    await instances.setHealth("vm-1", { status: "degraded" }, 6_000);
    await instances.touch([
      { instanceId: "vm-1", lastSeenMs: 7_000, heartbeat: { uptime: 1 } },
      { instanceId: "nobody", lastSeenMs: 7_000, heartbeat: undefined },
    ]);
    await instances.touch([{ instanceId: "vm-1", lastSeenMs: 6_500, heartbeat: undefined }]);
    const record = await (await under.reopen()).instances.get("vm-1");
    assert.deepEqual([record?.daemonVersion, record?.epoch, record?.bootId], ["2.0", "e-3", "b-1"]);
    assert.deepEqual([record?.health, record?.healthAtMs], [{ status: "degraded" }, 6_000]);
    assert.deepEqual([record?.lastSeenMs, record?.heartbeat], [7_000, { uptime: 1 }]);
    assert.equal(await under.store.instances.get("nobody"), undefined);
  });

  check(
    "S3: each session has a greater fence than the one before, and a copied identity is remembered",
    async (under) => {
      const { instances } = under.store;
      await instances.register(registration("vm-1"));
      const hello = { daemonVersion: "2.0", epoch: "e-1", bootId: "b-1" };
      const first = await instances.setHello("vm-1", hello);
      await instances.setIdentityInUse("vm-1", 8_000);
      const reopened = (await under.reopen()).instances;
      const second = await reopened.setHello("vm-1", hello);
      assert.ok(second > first, `${second} behind ${first}`);
      const record = await reopened.get("vm-1");
      assert.deepEqual([record?.fence, record?.identityInUseAtMs], [second, 8_000]);
    },
  );

  check("instances are listed by id", async ({ store }) => {
    for (const id of ["b", "a", "c"]) await store.instances.register(registration(id));
    assert.deepEqual(
      (await store.instances.list()).map(({ id }) => id),
      ["a", "b", "c"],
    );
    assert.deepEqual([...(await store.instances.ids())].sort(), ["a", "b", "c"]);
  });

  check("pruning takes the silent with their credentials, and none for which a request waits", async ({ store }) => {
    for (const id of ["silent", "waited-for"]) await store.instances.register(registration(id, { atMs: 1_000 }));
    await store.instances.register(registration("seen", { atMs: 3_000 }));
    await store.credentials.addFamily(family("f-1", "silent"), undefined);
    await store.events.append(event(1, "silent"));
    await store.requests.add(request("q-1", "waited-for"));
    assert.deepEqual(await store.instances.prune(2_000, 10), ["silent"]);
    assert.equal(await store.credentials.family("f-1"), undefined);
    assert.deepEqual(await store.events.cursors("silent", "e-1"), { lanes: {}, event_ids: {} });
    await store.requests.settle("q-1", "answered", "{}", 2_000);
    assert.deepEqual(await store.instances.prune(2_000, 10), ["waited-for"]);
    assert.deepEqual(await store.instances.ids(), ["seen"]);
  });
}

function credentialTests(check: Check): void {
  check("an enrolment is used up by one family, also when two come at one moment", async (under) => {
    const { credentials } = under.store;
    const enrollment = { tokenHash: "h", instanceId: "vm-1", workspaceId: undefined, expiresAtMs: 9_000 };
    await credentials.addEnrollment(enrollment);
    const outcomes = await Promise.all(["f-1", "f-2"].map((id) => credentials.addFamily(family(id, "vm-1"), "h")));
    assert.deepEqual([...outcomes].sort(), [false, true]);
    const winner = outcomes[0] === true ? "f-1" : "f-2";
    const reopened = (await under.reopen()).credentials;
    assert.deepEqual(await reopened.enrollment("h"), { ...enrollment, familyId: winner });
    assert.deepEqual(await reopened.family(winner), family(winner, "vm-1"));
    assert.equal(await reopened.family(winner === "f-1" ? "f-2" : "f-1"), undefined);
  });

  check("a new family forgets those that nobody used, and the first use retires all others", async ({ store }) => {
    const { credentials } = store;
    await credentials.addFamily(family("unused", "vm-1"), undefined);
    await credentials.addFamily(family("used", "vm-1", { used: true }), undefined);
    assert.equal(await credentials.family("unused"), undefined);
    const newest = family("newest", "vm-1");
    await credentials.addFamily(newest, undefined);
    await credentials.addFamily(family("of-another", "vm-2"), undefined);
    assert.notEqual(await credentials.family("used"), undefined);
    await credentials.markUsed(newest);
    assert.equal(await credentials.family("used"), undefined);
    assert.equal((await credentials.family("newest"))?.used, true);
    assert.notEqual(await credentials.family("of-another"), undefined);
  });

  check("revoked: the families of an instance end, its unused enrolments go, and it says so", async (under) => {
    const { credentials, instances } = under.store;
    await instances.register(registration("vm-1"));
    await credentials.addFamily(family("f-1", "vm-1", { used: true }), undefined);
    await credentials.addEnrollment({ tokenHash: "h", instanceId: "vm-1", workspaceId: undefined, expiresAtMs: 9_000 });
    assert.equal(await credentials.revoke("vm-1", 5_000), true);
    assert.equal(await credentials.revoke("nobody", 5_000), false);
    const reopened = await under.reopen();
    assert.equal((await reopened.credentials.family("f-1"))?.revokedAtMs, 5_000);
    assert.equal(await reopened.credentials.enrollment("h"), undefined);
    assert.equal((await reopened.instances.get("vm-1"))?.revokedAtMs, 5_000);
  });

  check("C4: of two rotations of one generation one holds, and a fenced family rotates no more", async (under) => {
    const { credentials, instances } = under.store;
    await instances.register(registration("vm-1"));
    const first = family("f-1", "vm-1");
    await credentials.addFamily(first, undefined);
    const next = (hash: string): FamilyRecord => ({
      ...first,
      generation: 1,
      currentHash: hash,
      previousHash: first.currentHash,
      used: true,
    });
    const outcomes = await Promise.all([credentials.rotate(first, next("a")), credentials.rotate(first, next("b"))]);
    assert.deepEqual([...outcomes].sort(), [false, true]);
    const holding = next(outcomes[0] ? "a" : "b");
    assert.deepEqual(await credentials.family("f-1"), holding);
    await credentials.fence("f-1", 4_000);
    await credentials.fence("f-1", 5_000); // The first moment holds.
    assert.equal(await credentials.rotate(holding, { ...holding, generation: 2 }), false);
    const reopened = await under.reopen();
    assert.equal((await reopened.credentials.family("f-1"))?.fencedAtMs, 4_000);
    assert.equal((await reopened.instances.get("vm-1"))?.fencedAtMs, 4_000);
    await reopened.instances.register(registration("vm-1"));
    assert.equal((await reopened.instances.get("vm-1"))?.fencedAtMs, undefined);
  });

  check("expired enrolments and old families are pruned in bites", async ({ store }) => {
    const { credentials } = store;
    for (const [tokenHash, expiresAtMs] of [
      ["h-1", 1_000],
      ["h-2", 1_500],
      ["h-3", 3_000],
    ] as const) {
      await credentials.addEnrollment({ tokenHash, instanceId: "vm-1", workspaceId: "w", expiresAtMs });
    }
    assert.deepEqual(
      [await credentials.pruneEnrollments(2_000, 1), await credentials.pruneEnrollments(2_000, 9)],
      [1, 1],
    );
    assert.notEqual(await credentials.enrollment("h-3"), undefined);
    await credentials.addFamily(family("old", "vm-1", { issuedAtMs: 1_000, used: true }), undefined);
    await credentials.addFamily(family("new", "vm-1", { issuedAtMs: 3_000, used: true }), undefined);
    assert.equal(await credentials.pruneFamilies(2_000, 10), 1);
    assert.notEqual(await credentials.family("new"), undefined);
  });
}

function operatorTests(check: Check): void {
  check("an operator's name is taken once; replacing it ends the earlier token", async (under) => {
    const ann = { name: "ann", role: "admin", tokenHash: "h-1", createdAtMs: 1_000 };
    const { operators } = under.store;
    assert.equal(await operators.add(ann, false), true);
    assert.equal(await operators.add({ ...ann, tokenHash: "h-2" }, false), false);
    assert.equal(await operators.byTokenHash("h-2"), undefined);
    assert.equal(await operators.add({ ...ann, role: "viewer", tokenHash: "h-3" }, true), true);
    const reopened = (await under.reopen()).operators;
    assert.equal(await reopened.byTokenHash("h-1"), undefined);
    assert.deepEqual(await reopened.byTokenHash("h-3"), { ...ann, role: "viewer", tokenHash: "h-3" });
  });
}

function eventTests(check: Check): void {
  const seqs = (records: readonly EventRecord[]): unknown[] =>
    records.map(({ body }) => (JSON.parse(body) as { n: number }).n);

  check("S1: an event is stored once by its id, also when it comes many times at one moment", async (under) => {
    const outcomes = await Promise.all(Array.from({ length: 5 }, () => under.store.events.append(event(1))));
    assert.equal(outcomes.filter((outcome) => outcome === "stored").length, 1);
    const reopened = (await under.reopen()).events;
    assert.equal(await reopened.append(event(1)), "duplicate");
    assert.equal(await reopened.append(event(1, "vm-2")), "stored");
    assert.equal((await reopened.after("vm-1", 0, 10, 1e6)).length, 1);
  });

  check("S3: a number of an epoch is one event's, and each lane of each epoch has a cursor", async (under) => {
    const { events } = under.store;
    await events.append(event(1));
    await events.append({ ...event(2), lane: "critical" });
    assert.equal(await events.append({ ...event(2), eventId: "another" }), "conflict");
    assert.equal(await events.append({ ...event(1), seq: 2, lane: "critical" }), "duplicate"); // The first keeps the number.
    assert.equal(await events.append({ ...event(3), epoch: "e-2" }), "stored");
    const reopened = (await under.reopen()).events;
    assert.deepEqual(await reopened.cursors("vm-1", "e-1"), {
      lanes: { session: 1, critical: 2 },
      event_ids: { session: "event-1", critical: "event-2" },
    });
    assert.deepEqual(await reopened.cursors("vm-1", "e-2"), {
      lanes: { session: 3 },
      event_ids: { session: "event-3" },
    });
    assert.equal((await reopened.after("vm-1", 0, 10, 1e6)).length, 3);
  });

  check("S3: events are read in the order they were written, in pages, from any cursor", async ({ store }) => {
    const { events } = store;
    await Promise.all([1, 2, 3, 4, 5].map((n) => events.append(event(n))));
    await events.append(event(9, "vm-2"));
    const first = await events.after("vm-1", 0, 2, 1e6);
    assert.deepEqual(seqs(first), [1, 2]);
    assert.deepEqual(seqs(await events.after("vm-1", first[1]!.row, 10, 1e6)), [3, 4, 5]);
    const lastTwo = await events.cursorBefore("vm-1", 2);
    assert.deepEqual(seqs(await events.after("vm-1", lastTwo, 10, 1e6)), [4, 5]);
    assert.equal(await events.cursorBefore("vm-1", 100), 0);
    assert.deepEqual(await events.after("nobody", 0, 10, 1e6), []);
  });

  check("a page stops at its bytes, but is never empty where there is an event", async ({ store }) => {
    for (const n of [1, 2, 3]) await store.events.append(event(n));
    const { length } = event(1).body;
    assert.deepEqual(seqs(await store.events.after("vm-1", 0, 10, 1)), [1]);
    assert.deepEqual(seqs(await store.events.after("vm-1", 0, 10, 2 * length)), [1, 2]);
  });

  check("pruning takes the oldest in bites, and no cursor is given twice", async (under) => {
    for (const n of [1, 2, 3]) await under.store.events.append({ ...event(n), receivedAtMs: n * 1_000 });
    const last = (await under.store.events.after("vm-1", 0, 10, 1e6)).at(-1)!.row;
    assert.deepEqual([await under.store.events.prune(9_000, 2), await under.store.events.prune(9_000, 2)], [2, 1]);
    const reopened = (await under.reopen()).events;
    await reopened.append(event(4));
    const [next] = await reopened.after("vm-1", last, 10, 1e6);
    assert.ok(next !== undefined && next.row > last);
  });
}

function requestTests(check: Check): void {
  check("C1, C2: an unanswered request is there after a crash, in the order of its arrival", async (under) => {
    for (const id of ["q-2", "q-1", "q-3"]) await under.store.requests.add(request(id, "vm-1"));
    await under.store.requests.add(request("other", "vm-2"));
    await under.store.requests.markSent("q-2");
    const { requests } = await under.reopen();
    assert.deepEqual(
      (await requests.unsettled("vm-1")).map(({ id, state }) => [id, state]),
      [
        ["q-2", "sent"],
        ["q-1", "queued"],
        ["q-3", "queued"],
      ],
    );
    assert.deepEqual(await requests.get("vm-1", "q-1"), request("q-1", "vm-1"));
    assert.equal(await requests.get("vm-2", "q-1"), undefined);
  });

  check("C1: the first end of a request holds", async (under) => {
    const { requests } = under.store;
    await requests.add(request("q-1", "vm-1"));
    await Promise.all([
      requests.settle("q-1", "answered", '{"result":1}', 2_000),
      requests.settle("q-1", "cancelled", '{"error":2}', 3_000),
    ]);
    await requests.markSent("q-1");
    const record = await (await under.reopen()).requests.get("vm-1", "q-1");
    assert.deepEqual(record, {
      ...request("q-1", "vm-1"),
      state: "answered",
      answer: '{"result":1}',
      settledAtMs: 2_000,
    });
  });

  check("only settled requests are pruned, and the old unsettled are named oldest first", async ({ store }) => {
    const { requests } = store;
    for (const [id, createdAtMs] of [
      ["a", 1_000],
      ["b", 2_000],
      ["c", 8_000],
    ] as const) {
      await requests.add({ ...request(id, "vm-1"), createdAtMs });
    }
    assert.deepEqual(await requests.unsettledBefore(5_000, 10), ["a", "b"]);
    assert.deepEqual(await requests.unsettledBefore(5_000, 1), ["a"]);
    assert.equal(await requests.prune(9_000, 10), 0);
    for (const id of ["a", "b"]) await requests.settle(id, "expired", "{}", 6_000);
    assert.deepEqual(await requests.unsettledBefore(9_000, 10), ["c"]);
    assert.equal(await requests.prune(6_000, 10), 0);
    assert.deepEqual([await requests.prune(6_001, 1), await requests.prune(6_001, 10)], [1, 1]);
    assert.notEqual(await requests.get("vm-1", "c"), undefined);
  });
}

function registration(instanceId: string, over: Partial<Registration> = {}): Registration {
  return {
    instanceId,
    workspaceId: "w",
    registrationId: `r-${instanceId}`,
    daemonVersion: "1.0",
    epoch: "e-1",
    capabilities: ["command"],
    systemInfo: { os: "linux" },
    networkInfo: undefined,
    atMs: 1_000,
    ...over,
  };
}

function family(id: string, instanceId: string, over: Partial<FamilyRecord> = {}): FamilyRecord {
  return {
    id,
    instanceId,
    generation: 0,
    currentHash: `hash-${id}`,
    currentRotation: "rotation",
    previousHash: undefined,
    issuedAtMs: 1_000,
    used: false,
    fencedAtMs: undefined,
    revokedAtMs: undefined,
    ...over,
  };
}

function event(n: number, instanceId = "vm-1"): NewEvent {
  return {
    instanceId,
    eventId: `event-${n}`,
    epoch: "e-1",
    seq: n,
    lane: "session",
    receivedAtMs: 1_000,
    body: JSON.stringify({ n }),
  };
}

function request(id: string, instanceId: string): RequestRecord {
  return {
    id,
    instanceId,
    operator: "ann",
    method: "command/execute",
    params: "{}",
    state: "queued",
    createdAtMs: 1_000,
    settledAtMs: undefined,
    answer: undefined,
  };
}
