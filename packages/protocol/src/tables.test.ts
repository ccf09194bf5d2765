/**
 * Goal: the tables are complete and agree with each other: no method file is forgotten, no error is named that does not exist,
 * and the codes are exactly the contract's (DESIGN.md 3.3), because programs we cannot see rely on them.
 */
import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { test } from "node:test";
import { errorTable, errorTypeOf, HlError, type ErrorType } from "./errors.ts";
import type { MethodDefinition } from "./method.ts";
import { daemonMethods } from "./methods.ts";
import { cloudMethods } from "./methods/vm.ts";
import { permissions } from "./permissions.ts";

const contract: Record<string, number> = {
  parse_error: -32700,
  invalid_request: -32600,
  method_not_found: -32601,
  invalid_params: -32602,
  internal_error: -32603,
  request_cancelled: -32800,
  unauthenticated: 1001,
  permission_denied: 1002,
  rate_limited: 1003,
  request_too_large: 1004,
  shutting_down: 1005,
  command_blocked: 1101,
  command_not_allowed: 1102,
  path_denied: 1103,
  process_limit: 1104,
  command_not_found: 1105,
  command_id_conflict: 1106,
  command_unknown: 1107,
  user_not_permitted: 1108,
  sandbox_unavailable: 1109,
  cwd_invalid: 1110,
  claude_unavailable: 1201,
  claude_process_unknown: 1202,
  claude_timeout: 1203,
  claude_exited: 1204,
  claude_busy: 1205,
  config_invalid: 1301,
  config_read_only: 1302,
  queue_full: 1401,
  event_invalid: 1402,
  file_not_found: 1501,
  file_exists: 1502,
  file_too_large: 1503,
  not_a_directory: 1504,
  no_space: 1505,
  approval_unknown: 1601,
  approval_decided: 1602,
  instance_offline: 1701,
  instance_unknown: 1702,
};

test("every code of the contract is there under its name, and nothing that was added takes one of them", () => {
  const codes = new Set<number>();
  for (const [type, code] of Object.entries(contract)) assert.equal(errorTable[type as ErrorType].code, code, type);
  for (const [type, spec] of Object.entries(errorTable)) {
    assert.ok(!codes.has(spec.code), `${type} shares the code ${spec.code}`);
    codes.add(spec.code);
    assert.equal(errorTypeOf(spec.code), type);
    assert.equal(new HlError(type as ErrorType, "m").code, spec.code);
    if (contract[type] === undefined) assert.ok(spec.code > 1000 && spec.code < 2000, "ours are 1000 to 1999");
  }
  assert.equal(errorTypeOf(0), undefined);
});

test("every error says what it means and what to do, as a sentence", () => {
  for (const [type, { when, help, retry }] of Object.entries(errorTable)) {
    assert.match(type, /^[a-z]+(_[a-z]+)*$/);
    assert.match(when, /^[a-z`].*[^.]$/, `${type}: when is part of a sentence`);
    assert.match(help, /^\S.*\.$/, `${type}: help is a sentence`);
    assert.ok(retry === "never" || retry === "backoff");
  }
});

const tables: Record<string, Readonly<Record<string, MethodDefinition>>> = { daemonMethods, cloudMethods };

test("every method that a file defines is in a table, under its own name", async () => {
  const listed = new Set<unknown>(Object.values(tables).flatMap((table) => Object.values(table)));
  for (const file of readdirSync(new URL("./methods/", import.meta.url))) {
    const exported = (await import(`./methods/${file}`)) as Record<string, unknown>;
    for (const [name, value] of Object.entries(exported)) {
      if (!isMethod(value)) continue;
      assert.ok(listed.has(value), `${name} of ${file} is in no table`);
      const fileName = `${value.name.replaceAll(/[/.]/g, "-")}.ts`;
      const shared = file === "vm.ts" ? value.name.startsWith("vm/") : file === fileName || file === "event-deliver.ts";
      assert.ok(shared, `${value.name} is defined in ${file}`);
    }
  }
  for (const table of Object.values(tables)) {
    for (const [name, definition] of Object.entries(table)) assert.equal(definition.name, name);
  }
});

test("every method has a direction, a permission, a summary in one sentence, and errors that exist", () => {
  for (const [tableName, table] of Object.entries(tables)) {
    for (const definition of Object.values(table)) {
      const { name, direction, permission, summary, errors, timeoutMs, invalidParams } = definition;
      assert.equal(direction, tableName === "daemonMethods" ? "to-daemon" : "to-cloud", name);
      assert.ok([...permissions, "any", "none"].includes(permission), name);
      assert.match(summary, /^[A-Z].*\.$/, name);
      assert.equal(new Set(errors).size, errors.length, `${name} names an error twice`);
      for (const type of [...errors, ...(invalidParams === undefined ? [] : [invalidParams])]) {
        assert.ok(Object.hasOwn(errorTable, type), `${name} names ${type}`);
      }
      assert.ok(timeoutMs === null || (timeoutMs >= 1_000 && timeoutMs <= 600_000), name);
      for (const notification of Object.keys(definition.notifications ?? {}))
        assert.match(notification, /^[a-z]+\/[a-z_]+$/);
    }
  }
});

function isMethod(value: unknown): value is MethodDefinition {
  return typeof value === "object" && value !== null && "direction" in value && "permission" in value;
}
