/**
 * Goal: X3, X4, S2: each privileged call is one record that says who, from where, what, and what came of it, and never what was in it; a flood is
 * counted. Method: records of calls as the dispatcher makes them, time moved by hand; the real file where the file matters.
 */
import assert from "node:assert/strict";
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { CallRecord } from "@hl/protocol/dispatch.ts";
import { HlError } from "@hl/protocol/errors.ts";
import type { Caller } from "@hl/protocol/method.ts";
import { daemonMethods } from "@hl/protocol/methods.ts";
import { ManualClock } from "@hl/testkit/manual-clock.ts";
import { temporaryFolder } from "@hl/testkit/programs.ts";
import { openAuditLog } from "../logging/audit-log.ts";
import { Redactor } from "../redaction/redactor.ts";
import { Secrets } from "../redaction/secrets.ts";
import { isPrivileged, PrivilegedCalls } from "./audit-calls.ts";

const caller: Caller = { role: "admin", subject: "local-token", via: "http" };
const call = (method: string, params: unknown, more: Partial<CallRecord> = {}): CallRecord => ({
  ...{ method, caller, definition: (daemonMethods as Record<string, CallRecord["definition"]>)[method] },
  ...{ durationMs: 1.23456, error: undefined, requestId: 7, params, from: "127.0.0.1" },
  ...more,
});

function world(): { calls: PrivilegedCalls; clock: ManualClock; records: Record<string, unknown>[] } & Disposable {
  const records: Record<string, unknown>[] = [];
  const clock = new ManualClock();
  const calls = new PrivilegedCalls({ clock, append: (record) => records.push(JSON.parse(JSON.stringify(record))) });
  return { calls, clock, records, [Symbol.dispose]: () => calls[Symbol.dispose]() };
}

test("X3: a call is one record with who, from where, what and what came of it", () => {
  using w = world();
  w.calls.record(call("file/remove", { path: "a/b", recursive: true }));
  w.calls.record(call("command/cancel", { command_id: "c" }, { error: new HlError("command_unknown", "no") }));
  w.calls.record(call("command/cancel", { command_id: "c" }, { error: new Error("a bug"), from: undefined }));
  const who = { kind: "call", decision: "allow", caller: "local-token", role: "admin", via: "http", from: "127.0.0.1" };
  const how = { duration_ms: 1.235, request_id: 7 };
  assert.deepEqual(w.records, [
    { ...who, ...how, method: "file/remove", permission: "file:write", path: "a/b" },
    {
      ...who,
      ...how,
      method: "command/cancel",
      permission: "process:execute",
      command_id: "c",
      error_type: "command_unknown",
    },
    {
      ...who,
      ...how,
      method: "command/cancel",
      permission: "process:execute",
      command_id: "c",
      error_type: "internal_error",
      from: "http",
    },
  ]);
});

test("names in parameters do not take the place of who, whence and how it was decided", () => {
  using w = world();
  w.calls.record(call("file/move", { from: "a", to: "b", method: "x", caller: "y" }));
  w.calls.record(call("approval/decide", { approval_id: "p", decision: "deny" }));
  const [moved, decided] = w.records;
  assert.deepEqual([moved?.["from"], moved?.["from_path"], moved?.["to_path"]], ["127.0.0.1", "a", "b"]);
  assert.deepEqual([moved?.["method"], moved?.["caller"]], ["file/move", "local-token"]);
  assert.deepEqual([decided?.["decision"], decided?.["wanted"]], ["allow", "deny"]);
});

test("X4: arguments, variables, contents, messages and inputs are in no record", () => {
  using w = world();
  const canary = "canary-in-the-parameters";
  for (const [method, params] of [
    [
      "command/execute",
      { command_id: "c", command: `sh ${canary}`, args: [canary], env: { [canary]: canary }, stdin: canary },
    ],
    ["command/input", { command_id: "c", data: canary }],
    ["file/write", { path: "p", data: canary }],
    [
      "claude/start",
      { workspace_path: "w", environment: { A: canary }, config_overrides: { append_system_prompt: canary } },
    ],
    ["claude/relay", { process_id: "a", message: { content: canary } }],
    ["event/stream", { event_id: "e", event_type: "t", data: { canary }, tags: [canary] }],
    ["approval/decide", { approval_id: "x", decision: "allow", updated_input: { canary } }],
    ["system/config/update", { config_section: "logging", config_data: { level: canary }, reset: [canary] }],
    ["file/read", [canary]],
    ["file/read", canary],
    ["file/read", { path: { canary }, offset: [canary] }],
  ] as const)
    w.calls.record(call(method, params));
  assert.equal(w.records.length, 11);
  const changed = w.records.find(({ method }) => method === "system/config/update");
  assert.deepEqual([changed?.["section"], changed?.["config_keys"]], ["logging", ["level"]]);
  assert.ok(!JSON.stringify(w.records).includes("canary"), JSON.stringify(w.records));
  assert.equal(w.records[0]?.["command"], "sh");
});

test("every method is told, but those that need no permission and those that only look", () => {
  const quiet = Object.values(daemonMethods).filter((definition) => !isPrivileged({ definition }));
  assert.deepEqual(quiet.map(({ name }) => name).sort(), [
    ...[
      "approval/list",
      "approval/subscribe",
      "auth/login",
      "claude/list",
      "claude/status",
      "command/list",
      "command/status",
    ],
    ...["event/subscribe", "file/stat", "file/unwatch", "rpc.discover", "system/health", "system/info", "system/ping"],
  ]);
});

test("S2: of a flood a hundred calls a second are told whole and the rest is counted, each method and caller for itself", async () => {
  using w = world();
  for (let at = 0; at < 1_000; at += 1) w.calls.record(call("event/stream", { event_id: String(at) }));
  w.calls.record(call("file/remove", { path: "not buried" }));
  assert.equal(w.records.length, 101);
  await w.clock.advance(1_000);
  const repeated = { kind: "repeated", decision: "allow", method: "event/stream", from: "127.0.0.1", count: 900 };
  assert.deepEqual(w.records.slice(101), [{ ...repeated, caller: "local-token", role: "admin", via: "http" }]);
  w.calls.record(call("event/stream", { event_id: "of the next second" }));
  assert.equal(w.records.length, 103);
  assert.equal(w.clock.timers, 1);
});

test("S2: a flood of different callers is bounded too", async () => {
  using w = world();
  for (let at = 0; at < 3_000; at += 1)
    w.calls.record(call("file/remove", { path: "x" }, { caller: { ...caller, subject: `s${at}` } }));
  await w.clock.advance(1_000);
  assert.deepEqual(
    [w.records.length, w.records.at(-1)],
    [1_101, { kind: "repeated", decision: "allow", count: 1_900 }],
  );
});

test("X4: the file is the owner's alone, and what is secret in a path is not in it", () => {
  using folder = temporaryFolder("hl-audit");
  const clock = new ManualClock();
  const secrets = new Secrets(clock);
  secrets.holdOwn("o", { A_TOKEN: "sesame-open" });
  const file = join(folder.path, "logs/audit.log");
  const rotation = {
    max_size: 4_096,
    backup_count: 3,
    compression: true,
    frequency: "daily",
    retention_days: 7,
  } as const;
  using log = openAuditLog({ enabled: true, file, ...rotation }, { clock, redactor: new Redactor(secrets) });
  log?.append({ kind: "call", path: "/x/sesame-open" });
  log?.flushSync();
  assert.equal(
    readFileSync(file, "utf8"),
    '{"time":"1970-01-01T00:00:00.000Z","kind":"call","path":"/x/[redacted:A_TOKEN]"}\n',
  );
  assert.equal(statSync(file).mode & 0o777, 0o600);
  assert.equal(
    openAuditLog({ enabled: false, file, ...rotation }, { clock, redactor: new Redactor(secrets) }),
    undefined,
  );
});
