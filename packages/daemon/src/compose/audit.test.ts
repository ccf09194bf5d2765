/**
 * Goal: X3: decisions and refusals become records that name who and why; whoever is refused for nothing cannot fill the spool (S2).
 * Method: the real events and database under the auditor, time moved by hand.
 */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { join } from "node:path";
import { test } from "node:test";
import { silentLogger } from "@hl/core/logger.ts";
import { HlError } from "@hl/protocol/errors.ts";
import type { Caller } from "@hl/protocol/method.ts";
import type { Approval } from "@hl/protocol/methods/approval-list.ts";
import { ManualClock } from "@hl/testkit/manual-clock.ts";
import { temporaryFolder } from "@hl/testkit/programs.ts";
import type { CommandDecision } from "../commands/decision.ts";
import type { EgressDecision } from "../egress/egress-proxy.ts";
import { Events } from "../events/events.ts";
import { Database } from "../store/database.ts";
import { Redactor } from "../redaction/redactor.ts";
import { Secrets } from "../redaction/secrets.ts";
import { EventSpool } from "../store/event-spool.ts";
import { auditor, type Audit } from "./audit.ts";

interface World extends Disposable {
  readonly audit: Audit;
  readonly clock: ManualClock;
  /** Severity and data of all records so far. */
  records(): Promise<(readonly [string, Record<string, unknown>])[]>;
}

function world(): World {
  const stack = new DisposableStack();
  const { path } = stack.use(temporaryFolder("hl-audit"));
  const database = stack.use(new Database(join(path, "daemon.db")));
  const clock = new ManualClock();
  const spool = new EventSpool(database, () => 0);
  const events = new Events({
    spool,
    clock,
    queueEventsMax: 1_000,
    queueBytesMax: 1_000_000,
    eventBytesMax: 10_000,
    emittedTypes: ["audit"],
    redaction: new Redactor(new Secrets(clock)),
    onStoreError: (error) => assert.fail(String(error)),
  });
  const audit = auditor({ events, logger: silentLogger, clock });
  const records: World["records"] = async () => {
    // It shares its transaction with all that came before it.
    await events.accept({ event_id: randomUUID(), event_type: "mark", timestamp: 0, data: {}, severity: "info" });
    const stored = spool.after(0, 1_000).filter(({ type }) => type === "audit");
    return stored.map(({ body }) => {
      const { severity, data } = JSON.parse(body);
      return [severity, data] as const;
    });
  };
  return { audit, clock, records, [Symbol.dispose]: () => stack.dispose() };
}

const caller: Caller = { role: "vm-instance", subject: "cloud", via: "cloud" };
const decision: CommandDecision = {
  caller,
  commandId: "c",
  command: "git",
  argumentsCount: 3,
  decision: "allow",
  rule: "git",
  errorType: undefined,
  reason: undefined,
  isDryRun: false,
  durationMs: 0.12345,
};

test("X3: an allowed and a refused command are one record each; a dry run is none", async () => {
  using w = world();
  w.audit.command(decision);
  w.audit.command({ ...decision, decision: "deny", rule: "rm -rf", errorType: "command_blocked", reason: "no" });
  w.audit.command({ ...decision, isDryRun: true });
  const who = {
    kind: "command",
    command_id: "c",
    command: "git",
    argument_count: 3,
    caller: "cloud",
    role: "vm-instance",
    via: "cloud",
    decided_ms: 0.123,
  };
  assert.deepEqual(await w.records(), [
    ["info", { ...who, decision: "allow", rule: "git" }],
    ["warning", { ...who, decision: "deny", rule: "rm -rf", error_type: "command_blocked", reason: "no" }],
  ]);
});

test("X3: a caller that is unknown or lacks the permission is recorded; other failures of a request are not", async () => {
  using w = world();
  const call = { method: "command/execute", definition: undefined, durationMs: 1 };
  w.audit.call({ ...call, caller, error: new HlError("permission_denied", "lacks it") });
  w.audit.call({ ...call, caller: undefined, error: new HlError("unauthenticated", "who?") });
  for (const error of [undefined, new Error("bug"), new HlError("command_blocked", "told by itself")])
    w.audit.call({ ...call, caller, error });
  const told = (await w.records()).map(([severity, { kind, caller: who, error_type: type, reason }]) => [
    severity,
    kind,
    who,
    type,
    reason,
  ]);
  assert.deepEqual(told, [
    ["warning", "call", "cloud", "permission_denied", "lacks it"],
    ["warning", "call", undefined, "unauthenticated", "who?"],
  ]);
});

test("S2: refusals of the proxy by the thousand are few records and a count; what it lets through is none", async () => {
  using w = world();
  const refused: EgressDecision = {
    method: "CONNECT",
    host: "h",
    port: 443,
    decision: "deny",
    rule: undefined,
    reason: "no",
    durationMs: 1,
  };
  for (let round = 0; round < 1_000; round += 1) w.audit.egress({ ...refused, host: `h-${round % 200}` });
  w.audit.egress({ ...refused, decision: "allow" });
  assert.equal((await w.records()).length, 50);
  await w.clock.advance(60_000);
  assert.deepEqual((await w.records()).at(-1), ["warning", { kind: "repeated", decision: "deny", count: 950 }]);
  w.audit[Symbol.dispose]();
  assert.equal(w.clock.timers, 0);
});

test("the name of a method that nobody knows does not fill the log: it is cut, and names that begin alike are one kind", async () => {
  using w = world();
  const error = new HlError("unauthenticated", "log in first");
  for (let n = 0; n < 3; n += 1) {
    const method = `${"x".repeat(1_000_000)}${n}`;
    w.audit.call({ method, caller: undefined, definition: undefined, durationMs: 1, error });
  }
  const told = (await w.records()).map(([, { method }]) => String(method).length);
  assert.deepEqual(told, [65]);
});

test("S2, X3: strangers cannot hide the refusals of known callers behind methods that they make up; over the rate is a refusal too", async () => {
  using w = world();
  const call = { definition: undefined, durationMs: 1, from: "unix socket" };
  for (let n = 0; n < 1_000; n += 1) {
    w.audit.call({ ...call, method: `made/up/${n}`, caller: undefined, error: new HlError("unauthenticated", "who?") });
  }
  for (const type of ["permission_denied", "rate_limited"] as const)
    w.audit.call({ ...call, method: "command/list", caller, error: new HlError(type, "no") });
  const told = (await w.records()).map(([, { caller: who, error_type: type, from }]) => [who, type, from]);
  assert.equal(told.length, 22);
  assert.deepEqual(told.slice(-2), [
    ["cloud", "permission_denied", "unix socket"],
    ["cloud", "rate_limited", "unix socket"],
  ]);
});

test("X3: what becomes of a permission request, and what a rule decides, is a record without the input", async () => {
  using w = world();
  const approval: Approval = {
    approval_id: "a",
    state: "approved",
    tool_name: "Bash",
    input: { command: "secret" },
    input_hash: "h",
    process_id: "p",
    requires_user_interaction: false,
    can_remember: false,
    created_at: 1,
    expires_at: 9,
    decision: "allow",
    decided_at: 2,
    updated_input: { command: "other" },
    decided_by: { subject: "cloud", role: "vm-instance", via: "cloud", on_behalf_of: "anna" },
  };
  w.audit.approval(approval);
  const by = { subject: "expiry", via: "internal" } as const;
  w.audit.approval({ ...approval, state: "expired", decision: "deny", updated_input: undefined, decided_by: by });
  w.audit.toolCall({ decision: "deny", processId: "p", toolName: "Read", toolUseId: "t", rule: "rule 1" });
  const [allowed, expired, denied] = await w.records();
  const about = {
    kind: "approval",
    approval_id: "a",
    tool_name: "Bash",
    input_hash: "h",
    process_id: "p",
    decided_at: 2,
  };
  const who = { caller: "cloud", role: "vm-instance", via: "cloud", on_behalf_of: "anna" };
  assert.deepEqual(allowed, ["info", { ...about, decision: "allow", state: "approved", ...who, input_changed: true }]);
  assert.deepEqual(expired, [
    "warning",
    { ...about, decision: "deny", state: "expired", caller: "expiry", via: "internal" },
  ]);
  const call = { process_id: "p", tool_name: "Read", tool_use_id: "t" };
  assert.deepEqual(denied, ["warning", { kind: "tool_call", decision: "deny", ...call, rule: "rule 1" }]);
});

test("X3: a decision about a permission request that does not count is a record, once for the same", async () => {
  using w = world();
  const decider = { subject: "cloud", role: "vm-instance", via: "cloud", on_behalf_of: "ben" } as const;
  const error = new HlError("approval_decided", "was approved by anna already");
  for (let n = 0; n < 3; n += 1) w.audit.decisionRefused({ approval_id: "a", decision: "allow" }, decider, error);
  const who = { caller: "cloud", role: "vm-instance", via: "cloud", on_behalf_of: "ben" };
  const fields = { kind: "approval", decision: "deny", approval_id: "a", wanted: "allow", ...who };
  const why = { error_type: "approval_decided", reason: "was approved by anna already" };
  assert.deepEqual(await w.records(), [["warning", { ...fields, ...why }]]);
});
