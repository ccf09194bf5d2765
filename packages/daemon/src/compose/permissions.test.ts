/**
 * Goal: X3: the whole of who may do what. Every method and every path of the HTTP port, asked by each shipped role, a role of one's own, a role
 * that nobody has defined and nobody at all, with rbac_enabled on and off; and docs/permissions.md says the same.
 * Method: the sessions of the daemon with the roles of a real configuration and handlers that only count. What is expected stands here by hand,
 * from the design, so that a definition that changes by mistake is seen.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { defaultConfig } from "@hl/config/load.ts";
import type { Call } from "@hl/core/rpc/answer.ts";
import { HlError } from "@hl/protocol/errors.ts";
import type { Caller } from "@hl/protocol/method.ts";
import { daemonMethods } from "@hl/protocol/methods.ts";
import { ManualClock } from "@hl/testkit/manual-clock.ts";
import { daemonPaths } from "../api/http-paths.ts";
import { SessionFactory, type SessionFactoryOptions } from "../api/session.ts";
import { wideRates } from "../api/testing/wide-limits.ts";

/** DESIGN.md 3.4. A method that is not here is judged by its prefix. */
const expected: Readonly<Record<string, string>> = {
  "auth/login": "none",
  "rpc.discover": "any",
  "system/ping": "any",
  "system/info": "any",
  "system/health": "system:monitor",
  "system/config/get": "system:monitor",
  "system/config/update": "system:configure",
  "system/logs": "logs:access",
  "system/restart": "daemon:restart",
  "system/healing/reset": "daemon:restart",
  "file/read": "file:read",
  "file/list": "file:read",
  "file/stat": "file:read",
  "file/watch": "file:read",
  "file/unwatch": "file:read",
  "GET /metrics": "system:monitor",
  "GET /openrpc.json": "any",
  "POST /rpc": "any",
  "GET /rpc": "any",
};
const byPrefix: readonly (readonly [prefix: string, permission: string])[] = [
  ["command/", "process:execute"],
  ["claude/", "process:execute"],
  ["file/", "file:write"],
  ["event/", "events:stream"],
  ["approval/", "approval:decide"],
];
const expectedOf = (name: string): string =>
  expected[name] ??
  byPrefix.find(([prefix]) => name.startsWith(prefix))?.[1] ??
  assert.fail(`${name} is expected nowhere`);

const all = [
  ...["process:execute", "file:read", "file:write", "system:monitor", "events:stream", "approval:decide"],
  ...["system:configure", "daemon:restart", "logs:access"],
];
/** Undefined: not authenticated. */
const callers: readonly (readonly [role: string | undefined, grants: readonly string[]])[] = [
  ["vm-instance", all.slice(0, 6)],
  ["admin", all],
  ["auditor", ["system:monitor", "logs:access"]],
  ["empty", []],
  ["nobody-defined-it", []],
  ["", []],
  ["__proto__", []],
  ["constructor", []],
  [undefined, []],
];

const clock = new ManualClock();
let served = 0;
const handlers = Object.fromEntries(
  Object.keys(daemonMethods).map((name) => [name, async () => void (served += 1)]),
) as unknown as SessionFactoryOptions["handlers"];
const { authorization } = defaultConfig().security;
const roles = { ...authorization.permissions, auditor: ["system:monitor", "logs:access"], empty: [] };

function sessions(checksRoles: boolean): SessionFactory {
  const limits = wideRates(clock);
  const rest = { roles, checksRoles, clock, wireError: { stackTrace: false }, limits, observe: () => {} };
  return new SessionFactory({ handlers, authenticate: () => undefined, ...rest });
}

/** What becomes of a request: which refusal, or undefined where it is permitted. Its parameters fit nothing, so that no handler runs. */
async function refusalOf(
  factory: SessionFactory,
  role: string | undefined,
  name: string,
): Promise<HlError | undefined> {
  const caller: Caller | undefined = role === undefined ? undefined : { role, subject: "x", via: "http" };
  const call: Call = {
    ...{ id: 1, signal: new AbortController().signal, canNotify: false },
    ...{ notify: async () => {}, notifyBytes: async () => {}, stream: () => {} },
  };
  try {
    if (Object.hasOwn(daemonPaths, name)) factory.require(caller, daemonPaths[name] ?? "any", name);
    else {
      const message = { kind: "request", id: 1, method: name, params: [], authorization: undefined } as const;
      await factory.open({ via: "http", from: "127.0.0.1" }, caller).handler.request(message, call);
      assert.fail(`${name} took a list for its parameters`);
    }
    return undefined;
  } catch (error) {
    assert.ok(error instanceof HlError, String(error));
    return error.type === "unauthenticated" || error.type === "permission_denied" ? error : undefined;
  }
}

const names = [...Object.keys(daemonMethods), ...Object.keys(daemonPaths)];

for (const checksRoles of [true, false]) {
  for (const [role, grants] of callers) {
    test(`X3: rbac ${checksRoles ? "on" : "off"}, ${role === undefined ? "nobody" : `role "${role}"`}: every method and path`, async () => {
      const factory = sessions(checksRoles);
      for (const name of names) {
        const needed = expectedOf(name);
        const refusal = await refusalOf(factory, role, name);
        if (needed === "none") assert.equal(refusal, undefined, name);
        else if (role === undefined) assert.equal(refusal?.type, "unauthenticated", name);
        else if (needed === "any" || !checksRoles || grants.includes(needed)) assert.equal(refusal, undefined, name);
        else {
          assert.equal(refusal?.type, "permission_denied", name);
          assert.deepEqual(refusal.facts, { permission: needed, role });
          assert.ok(refusal.message.includes(`"${needed}"`) && refusal.message.includes(name), refusal.message);
        }
      }
      assert.equal(served, 0);
    });
  }
}

test("docs/permissions.md says of each method and path what the dispatcher does", async () => {
  const page = readFileSync(new URL("../../../../docs/permissions.md", import.meta.url), "utf8");
  const [, section = ""] = page.split("## Methods and paths of hl-daemon");
  const [table = ""] = section.split("## Operators");
  const rows = [...table.matchAll(/^\| `([^`]+)` \| `([^`]+)` \| (yes|no) \| (yes|no) \|$/gm)];
  assert.deepEqual(
    rows.map(([, name]) => name),
    names,
  );
  assert.match(table, /\| `vm-instance` \| `admin` \|/);
  for (const [, name = "", permission, vm, admin] of rows) {
    assert.equal(permission, expectedOf(name), name);
    const cell = async (role: string): Promise<string> =>
      (await refusalOf(sessions(true), role, name)) === undefined ? "yes" : "no";
    assert.deepEqual([vm, admin], [await cell("vm-instance"), await cell("admin")], name);
  }
});
