/**
 * Goal: A3: a request waits until exactly one end, whatever comes at once, too late, twice, or over a restart. Method: the table over
 * a real database, a clock moved by hand; a life of the daemon is one table.
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, test } from "node:test";
import { silentLogger } from "@hl/core/logger.ts";
import { HlError, type ErrorType } from "@hl/protocol/errors.ts";
import type { Approval, Decider } from "@hl/protocol/methods/approval-list.ts";
import { ManualClock, settled } from "@hl/testkit/manual-clock.ts";
import { temporaryFolder } from "@hl/testkit/programs.ts";
import { until } from "@hl/testkit/waiting.ts";
import { ApprovalRecords } from "../store/approval-records.ts";
import { Database } from "../store/database.ts";
import { inputHashOf } from "./approval-of.ts";
import { Approvals, type ApprovalsOptions } from "./approvals.ts";
import { defaultApprovalLimits } from "./limits.ts";
import type { AskedCall, Outcome, Withdrawal } from "./tool-call.ts";

const anna: Decider = { subject: "anna", role: "admin", via: "socket" };
const ben: Decider = { subject: "cloud", role: "vm-instance", via: "cloud", on_behalf_of: "ben" };

interface Asked {
  readonly outcome: Promise<Outcome>;
  readonly id: string;
  readonly withdraw: (how: Withdrawal) => void;
}

class World implements Disposable {
  readonly clock = new ManualClock();
  readonly told: string[] = [];
  readonly refused: string[] = [];
  readonly #folder = temporaryFolder("hl-approvals");
  readonly database = new Database(join(this.#folder.path, "daemon.db"));
  readonly records = new ApprovalRecords(this.database);
  #requested = "";
  approvals = this.#table({});

  #table(options: Partial<ApprovalsOptions>): Approvals {
    return new Approvals({
      records: this.records,
      clock: this.clock,
      logger: silentLogger,
      limits: defaultApprovalLimits,
      timeoutMs: 60_000,
      byDefault: "deny",
      onRequested: ({ approval_id }) => {
        this.told.push("requested");
        this.#requested = approval_id;
      },
      onEnded: ({ state, decision }) => void this.told.push(decision === undefined ? state : `${state} ${decision}`),
      onRefused: (_asked, message) => void this.refused.push(message),
      ...options,
    });
  }

  /** The daemon comes back. */
  restart(options: Partial<ApprovalsOptions> = {}, living = ["p"]): void {
    this.approvals[Symbol.dispose]();
    this.approvals = this.#table(options);
    this.approvals.load(living.map((processId) => ({ processId })));
  }

  ask(more: Partial<AskedCall> = {}): Asked {
    const gone = new AbortController();
    this.#requested = "";
    const outcome = this.approvals.ask({
      ...{ processId: "p", agentRequestId: "r1", toolName: "Bash", input: { command: "touch x" }, cwd: "/w" },
      ...{ requiresUserInteraction: false, canRemember: true, withdrawn: gone.signal },
      ...more,
    });
    const id = this.#requested;
    return { outcome, id, withdraw: (how) => gone.abort(how) };
  }

  async recorded(count: number): Promise<void> {
    await until("them to be recorded", () => this.records.pending().length === count);
    await settled();
  }

  one(approval_id: string): Approval {
    const [found] = this.approvals.list({ approval_id, limit: 1 }).approvals;
    assert.ok(found);
    return found;
  }

  [Symbol.dispose](): void {
    this.approvals[Symbol.dispose]();
    this.database[Symbol.dispose]();
    this.#folder[Symbol.dispose]();
  }
}

async function refused(work: Promise<unknown>, type: ErrorType): Promise<HlError> {
  const error: unknown = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof HlError, String(error));
  assert.equal(error.type, type);
  return error;
}

describe("approvals", () => {
  test("A3: allowed with everything that a decision may carry; the record says who and when", async () => {
    using world = new World();
    const { outcome, id } = world.ask({ title: "Bash", reason: "writes", relayId: "relay" });
    assert.deepEqual(world.approvals.list({ limit: 1 }).approvals, [], "P3: not shown before it is recorded");
    await world.recorded(1);
    assert.deepEqual([world.one(id).state, world.one(id).expires_at, world.one(id).reason], ["pending", 60, "writes"]);
    await world.clock.advance(5_000);
    const updated_input = { command: "touch y" };
    const input_hash = inputHashOf({ command: "touch x" });
    const answer = await world.approvals.decide(
      { approval_id: id, decision: "allow", updated_input, input_hash, remember: "session", reason: "fine" },
      anna,
    );
    assert.deepEqual(await outcome, { behavior: "allow", updatedInput: updated_input, remember: "session" });
    const { state, decision, decided_by, decided_at, decision_reason } = world.one(id);
    assert.deepEqual(
      { state, decision, decided_by, decided_at, decision_reason },
      { state: "approved", decision: "allow", decided_by: anna, decided_at: 5, decision_reason: "fine" },
    );
    assert.deepEqual(answer.updated_input, updated_input);
    assert.deepEqual(world.told, ["requested", "approved allow"]);
    assert.equal(world.clock.timers, 0);
  });

  test("A3: denied in the decider's words, with the end of the turn", async () => {
    using world = new World();
    const { outcome, id } = world.ask();
    await world.approvals.decide({ approval_id: id, decision: "deny", reason: "not today", interrupt: true }, anna);
    assert.deepEqual(await outcome, { behavior: "deny", message: "not today", interrupt: true });
  });

  test("A3, P3: an id that the agent uses again for another input is another request; for the same, also after a restart, it is the same", async () => {
    using world = new World();
    const first = world.ask();
    await world.recorded(1);
    await world.approvals.decide({ approval_id: first.id, decision: "allow" }, anna);
    const other = world.ask({ input: { command: "rm -r /" } });
    await world.recorded(1);
    assert.notEqual(other.id, "", "it waits for a person");
    assert.equal(world.one(other.id).state, "pending");
    world.restart();
    world.approvals.attached("p", ["r1"]);
    const again = [world.ask({ input: { command: "rm -r /" } }), world.ask()] as const;
    assert.deepEqual([again[0].id, again[1].id], ["", ""], "nothing new is asked");
    assert.equal((await again[1].outcome).behavior, "allow");
    await world.approvals.decide({ approval_id: other.id, decision: "deny", reason: "no" }, ben);
    assert.deepEqual(await again[0].outcome, { behavior: "deny", message: "no" });
    const third = world.ask({ input: { command: "third" } });
    await world.recorded(1);
    world.approvals.attached("p", ["r10"]);
    await until("it is withdrawn", () => world.one(third.id).state === "withdrawn");
  });

  test("X3: decisions that do not count are told, with who and why", async () => {
    using world = new World();
    const told: unknown[] = [];
    world.restart({
      onDecisionRefused: ({ approval_id }, { subject }, { type }) => void told.push([approval_id, subject, type]),
    });
    const { id } = world.ask();
    await world.recorded(1);
    const decision = { approval_id: id, decision: "allow" } as const;
    await refused(world.approvals.decide({ ...decision, input_hash: "other" }, ben), "approval_input_changed");
    await world.approvals.decide(decision, anna);
    await refused(world.approvals.decide(decision, ben), "approval_decided");
    await refused(world.approvals.decide({ ...decision, approval_id: "nobody" }, ben), "approval_unknown");
    assert.deepEqual(told, [
      [id, "cloud", "approval_input_changed"],
      [id, "cloud", "approval_decided"],
      ["nobody", "cloud", "approval_unknown"],
    ]);
  });

  test("of two decisions at once one counts, and the other is told which", async () => {
    using world = new World();
    const { outcome, id } = world.ask();
    const [first, second] = await Promise.allSettled([
      world.approvals.decide({ approval_id: id, decision: "deny" }, ben),
      world.approvals.decide({ approval_id: id, decision: "allow" }, anna),
    ]);
    assert.equal(first.status, "fulfilled");
    const { reason } = second as PromiseRejectedResult;
    assert.ok(reason instanceof HlError && reason.type === "approval_decided");
    assert.match(reason.message, /denied by ben already/);
    assert.deepEqual([reason.facts["decision"], reason.facts["decided_by"]], ["deny", ben]);
    assert.equal((await outcome).behavior, "deny");
    assert.deepEqual(world.told, ["requested", "denied deny"]);
  });

  test("a decision about another input, about nothing, or remembered where that has no effect, is refused", async () => {
    using world = new World();
    const { id } = world.ask({ canRemember: false, canEdit: false });
    await world.recorded(1);
    assert.equal(world.one(id).can_edit, false);
    const input_hash = inputHashOf({ command: "touch z" });
    const error = await refused(
      world.approvals.decide({ approval_id: id, decision: "allow", input_hash }, anna),
      "approval_input_changed",
    );
    assert.equal(error.facts["input_hash"], inputHashOf({ command: "touch x" }));
    await refused(world.approvals.decide({ approval_id: "other", decision: "allow" }, anna), "approval_unknown");
    await refused(
      world.approvals.decide({ approval_id: id, decision: "allow", remember: "session" }, anna),
      "invalid_params",
    );
    assert.equal(world.one(id).state, "pending");
  });

  test("A3: nobody answers in time: the default holds, but never for a question to a person", async () => {
    for (const [byDefault, requiresUserInteraction, behavior] of [
      ["deny", false, "deny"],
      ["allow", false, "allow"],
      ["allow", true, "deny"],
    ] as const) {
      using world = new World();
      world.restart({ byDefault });
      const { outcome, id } = world.ask({ requiresUserInteraction });
      await world.clock.advance(59_999);
      assert.equal(world.one(id).state, "pending");
      await world.clock.advance(1);
      assert.equal((await outcome).behavior, behavior);
      assert.deepEqual([world.one(id).state, world.one(id).decided_by?.subject], ["expired", "expiry"]);
      const error = await refused(
        world.approvals.decide({ approval_id: id, decision: "allow" }, anna),
        "approval_closed",
      );
      assert.equal(error.facts["state"], "expired");
    }
  });

  test("withdrawn by the agent or lost with its process: nothing is decided any more", async () => {
    for (const how of ["withdrawn", "lost"] as const) {
      using world = new World();
      const { id, withdraw } = world.ask();
      withdraw(how);
      await until("its end", () => world.approvals.pendingCount() === 0);
      assert.deepEqual([world.one(id).state, world.one(id).decision], [how, undefined]);
      await refused(world.approvals.decide({ approval_id: id, decision: "allow" }, anna), "approval_closed");
      assert.equal(world.clock.timers, 0);
    }
  });

  test("a decision that is being recorded holds against a withdrawal that comes meanwhile", async () => {
    using world = new World();
    const { id, withdraw } = world.ask();
    const decided = world.approvals.decide({ approval_id: id, decision: "allow" }, anna);
    withdraw("withdrawn");
    assert.equal((await decided).state, "approved");
    assert.deepEqual(world.told, ["requested", "approved allow"]);
  });

  test("P3: a daemon that comes back goes on with what the agent asks again, under the same id and expiry", async () => {
    using world = new World();
    const { id, withdraw } = world.ask();
    await world.clock.advance(10_000);
    withdraw("detached");
    await world.recorded(1);
    world.restart();
    world.approvals.attached("p", ["r1"]);
    const again = world.ask();
    assert.equal(again.id, "", "no new one");
    assert.deepEqual([world.one(id).state, world.one(id).expires_at], ["pending", 60]);
    await world.approvals.decide({ approval_id: id, decision: "allow" }, anna);
    assert.equal((await again.outcome).behavior, "allow");
    assert.deepEqual(world.told, ["requested", "approved allow"]);
  });

  test("P3: a decision that may not have reached the agent is told again when it asks again", async () => {
    using world = new World();
    const { id } = world.ask();
    await world.recorded(1);
    world.restart();
    await world.approvals.decide({ approval_id: id, decision: "deny", reason: "no" }, anna);
    assert.deepEqual(await world.ask().outcome, { behavior: "deny", message: "no" });
    world.restart();
    assert.deepEqual(await world.ask().outcome, { behavior: "deny", message: "no" });
  });

  test("P3: what has expired while there was no daemon is denied", async () => {
    using world = new World();
    const { id, withdraw } = world.ask();
    withdraw("detached");
    await world.recorded(1);
    world.approvals[Symbol.dispose]();
    await world.clock.advance(70_000);
    world.restart();
    const { outcome } = world.ask();
    await world.clock.advance(0);
    assert.equal((await outcome).behavior, "deny");
    assert.equal(world.one(id).state, "expired");
  });

  test("A3: after a restart what the agent asks no longer is withdrawn, and what has no agent any more is lost", async () => {
    using world = new World();
    const open = world.ask();
    const closed = world.ask({ agentRequestId: "r2" });
    const orphan = world.ask({ processId: "q" });
    await world.recorded(3);
    world.restart();
    world.approvals.attached("p", ["r1"]);
    await until("both to end", () => world.approvals.pendingCount() === 1);
    assert.deepEqual(
      [open, closed, orphan].map(({ id }) => world.one(id).state),
      ["pending", "withdrawn", "lost"],
    );
    world.approvals.processEnded("p");
    await until("the last to end", () => world.approvals.pendingCount() === 0);
    assert.equal(world.one(open.id).state, "lost");
  });

  test("limits: open approvals, their bytes, and the size of one; at the limit it is denied and told why", async () => {
    using world = new World();
    world.restart({ limits: { ...defaultApprovalLimits, openMax: 2, openBytesMax: 3_000, approvalBytesMax: 2_000 } });
    const large = await world.ask({ agentRequestId: "large", input: { content: "x".repeat(2_000) } }).outcome;
    assert.ok(large.behavior === "deny" && /2000 can be shown/.test(large.message));
    const first = world.ask({ agentRequestId: "a", input: { content: "x".repeat(1_000) } });
    const second = world.ask({ agentRequestId: "b" });
    const third = await world.ask({ agentRequestId: "c" }).outcome;
    assert.ok(third.behavior === "deny" && /2 permission requests are open/.test(third.message));
    await world.approvals.decide({ approval_id: second.id, decision: "deny" }, anna);
    const heavy = await world.ask({ agentRequestId: "d", input: { content: "x".repeat(1_500) } }).outcome;
    assert.ok(heavy.behavior === "deny" && /bytes are open already/.test(heavy.message));
    await world.approvals.decide({ approval_id: first.id, decision: "deny" }, anna);
    world.ask({ agentRequestId: "e", input: { content: "x".repeat(1_500) } });
    assert.equal(world.approvals.pendingCount(), 1);
    assert.equal(world.refused.length, 3);
  });

  test("list: those that wait first, oldest first, then those that are over, newest first, as many as asked for", async () => {
    using world = new World();
    const asked: Asked[] = [];
    for (const agentRequestId of ["a", "b", "c", "d"]) {
      asked.push(world.ask({ agentRequestId }));
      await world.clock.advance(1_000);
    }
    for (const { id } of asked.slice(0, 2)) {
      await world.approvals.decide({ approval_id: id, decision: "deny" }, anna);
      await world.clock.advance(1_000);
    }
    const [a, b, c, d] = asked.map(({ id }) => id);
    const ids = (wanted: object): unknown => {
      const page = world.approvals.list({ limit: 100, ...wanted });
      return [page.approvals.map(({ approval_id }) => approval_id), page.has_more];
    };
    assert.deepEqual(ids({}), [[c, d, b, a], false]);
    assert.deepEqual(ids({ limit: 3 }), [[c, d, b], true]);
    assert.deepEqual(ids({ limit: 2 }), [[c, d], true]);
    assert.deepEqual(ids({ state: "denied", limit: 1 }), [[b], true]);
    assert.deepEqual(ids({ process_id: "other" }), [[], false]);
    assert.deepEqual(ids({ approval_id: a }), [[a], false]);
  });

  test("list: an answer holds 8 MiB of approvals, and one of any size", async () => {
    using world = new World();
    for (let n = 0; n < 10; n += 1) {
      world.ask({ agentRequestId: `r${n}`, input: { content: "x".repeat(1_000_000) } });
    }
    await world.recorded(10);
    const page = world.approvals.list({ limit: 100 });
    assert.deepEqual([page.approvals.length, page.has_more], [8, true]);
  });

  test("P7: those that are over go by age, number and size", async () => {
    using world = new World();
    world.restart({ limits: { ...defaultApprovalLimits, keptMax: 2, keptMs: 10_000 } });
    const ended = async (agentRequestId: string): Promise<void> => {
      const { id } = world.ask({ agentRequestId });
      await world.approvals.decide({ approval_id: id, decision: "deny" }, anna);
      await world.clock.advance(1_000);
    };
    for (const id of ["a", "b", "c"]) await ended(id);
    world.ask({ agentRequestId: "waits" });
    await world.recorded(1);
    const states = (): number => world.approvals.list({ limit: 100 }).approvals.length;
    assert.equal(states(), 4);
    await world.approvals.prune();
    assert.equal(states(), 3, "two that are over and one that waits");
    await world.records.prune({ endedBeforeMs: 0, approvalsMax: 100, bytesMax: 600 });
    assert.equal(states(), 2, "one of them fits");
    await world.clock.advance(9_001);
    await world.approvals.prune();
    assert.equal(states(), 1);
  });

  test("follow: what waits, then every change; a slow reader gets the newest state of each", async () => {
    using world = new World();
    const first = world.ask();
    const told: string[] = [];
    let slow = Promise.withResolvers<undefined>();
    slow.resolve(undefined);
    const stop = new AbortController();
    const following = world.approvals.follow(
      undefined,
      async ({ approval_id, state }) => {
        told.push(`${approval_id === first.id ? "first" : "other"} ${state}`);
        await slow.promise;
      },
      stop.signal,
    );
    await settled();
    assert.deepEqual(told, ["first pending"]);
    slow = Promise.withResolvers<undefined>();
    await world.approvals.decide({ approval_id: first.id, decision: "allow" }, anna);
    await settled();
    const other = world.ask({ agentRequestId: "r2" });
    await world.approvals.decide({ approval_id: other.id, decision: "deny" }, anna);
    await settled();
    slow.resolve(undefined);
    await settled();
    assert.deepEqual(told, ["first pending", "first approved", "other denied"]);
    stop.abort();
    await following;
  });

  test("S4: an end that cannot be recorded: a decision is refused and may be made again, time still denies", async () => {
    using world = new World();
    const { outcome, id } = world.ask();
    await world.recorded(1);
    world.database.prepare("ALTER TABLE approvals RENAME TO elsewhere").run();
    await assert.rejects(world.approvals.decide({ approval_id: id, decision: "allow" }, anna));
    assert.equal(world.one(id).state, "pending");
    await world.clock.advance(60_000);
    assert.equal((await outcome).behavior, "deny");
    world.database.prepare("ALTER TABLE elsewhere RENAME TO approvals").run();
  });
});
