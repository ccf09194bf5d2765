/**
 * Goal: X3: the whole of what operators may do: every path and every method that is passed on, asked by each role and by nobody, is served or refused as
 * docs/permissions.md says, the missing permission named; and no path of an operator is without its guard.
 * Method: the real cloud over HTTP with a VM that answers everything. What a role may stands here by hand.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { daemonMethods } from "@hl/protocol/methods.ts";
import { fastify } from "fastify";
import type { OperatorRole } from "../operators/roles.ts";
import { postRpc, type RpcReply } from "../testing/fake-vm.ts";
import { testCloud } from "../testing/test-cloud.ts";
import { approvalRoutes } from "./approval-routes.ts";
import { eventRoutes } from "./event-routes.ts";
import { instanceRoutes } from "./instance-routes.ts";
import { metricsRoute } from "./metrics-route.ts";
import { OperatorGuard } from "./operator-guard.ts";
import { operatorPaths } from "./operator-paths.ts";
import { requestRoutes } from "./request-routes.ts";

const operatorsMay = [
  "process:execute",
  "file:read",
  "file:write",
  "system:monitor",
  "events:stream",
  "approval:decide",
  "logs:access",
];
const grants: Readonly<Record<OperatorRole, readonly string[]>> = {
  admin: [...operatorsMay, "system:configure", "daemon:restart"],
  operator: operatorsMay,
  viewer: ["system:monitor"],
};
const roles = Object.keys(grants) as OperatorRole[];
const may = (role: OperatorRole, permission: string): boolean =>
  permission === "any" || grants[role].includes(permission);

async function ask(url: string, token: string | undefined, path: string): Promise<RpcReply> {
  const [method = "", template = ""] = path.split(" ");
  const address = `${url}${template.replace("{id}", "vm-1").replace("{request}", "r-1")}`;
  if (method === "POST") return postRpc(address, token, "system/ping", {});
  const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
  const answer = await fetch(address, { method, headers });
  const text = await answer.text();
  const body = text.startsWith("{") ? JSON.parse(text) : {};
  return { status: answer.status, headers: answer.headers, body };
}

test("X3: every path of an operator, by each role, by nobody and by a stranger", async () => {
  await using fixture = await testCloud();
  await using _vm = await fixture.connect("vm-1", async () => ({ approvals: [] }));
  const tokens = new Map<OperatorRole, string>();
  for (const role of roles) tokens.set(role, await fixture.cloud.addOperator(`of-${role}`, role));
  // The one that ends the VM comes last.
  const paths = Object.entries(operatorPaths).sort(([path]) => (path.includes("revoke") ? 1 : -1));
  for (const [path, permission] of paths) {
    for (const token of [undefined, "hlo_guess", fixture.admin.slice(0, -1)]) {
      const reply = await ask(fixture.url, token, path);
      assert.deepEqual([reply.status, reply.body.error?.code], [401, 1001], path);
    }
    for (const role of [...roles].reverse()) {
      const reply = await ask(fixture.url, tokens.get(role), path);
      if (may(role, permission)) {
        assert.ok(reply.status !== 401 && reply.status !== 403, `${role} ${path}: ${reply.status}`);
        continue;
      }
      assert.deepEqual([reply.status, reply.body.error?.code], [403, 1002], `${role} ${path}`);
      assert.deepEqual([reply.body.error?.data?.["permission"], reply.body.error?.data?.["role"]], [permission, role]);
    }
  }
});

test("X3: every method that is passed on, by each role: what is refused never reaches the VM", async () => {
  await using fixture = await testCloud();
  await using vm = await fixture.connect("vm-1", async () => ({}));
  for (const role of roles) {
    const token = await fixture.cloud.addOperator(`of-${role}`, role);
    for (const [method, { permission }] of Object.entries(daemonMethods)) {
      const before = vm.received.length;
      const { body } = await postRpc(`${fixture.url}/v1/instances/vm-1/rpc`, token, method, {});
      const reached = vm.received.length - before;
      if (method === "auth/login") assert.deepEqual([body.error?.code, reached], [-32601, 0], method);
      else if (may(role, permission)) assert.ok(body.error?.code !== 1002, `${role} ${method}`);
      else {
        assert.deepEqual([body.error?.code, body.error?.data?.["permission"], reached], [1002, permission, 0], method);
      }
    }
  }
});

test("X3: no path that operators have is without its guard, and the table has them all", async () => {
  const app = fastify();
  const found: string[] = [];
  app.addHook("onRoute", ({ method, url, onRequest }) => {
    if (method === "HEAD") return;
    assert.equal(typeof onRequest, "function", `${String(method)} ${url} is not guarded`);
    found.push(`${String(method)} ${url.replace(":id", "{id}").replace(":rpcId", "{request}")}`);
  });
  const guard = new OperatorGuard({ authenticate: () => assert.fail("nobody asks") } as never);
  const clock = { now: () => 0 };
  for (const routes of [instanceRoutes, eventRoutes, approvalRoutes, requestRoutes, metricsRoute])
    routes(app, { guard, clock } as never);
  await app.ready();
  assert.deepEqual(found.sort(), Object.keys(operatorPaths).sort());
  await app.close();
});

test("docs/permissions.md says the same of operators", () => {
  const page = readFileSync(new URL("../../../../docs/permissions.md", import.meta.url), "utf8");
  const [, section = ""] = page.split("## Operators of hl-cloud");
  assert.match(section, /\| `admin` \| `operator` \| `viewer` \|/);
  const rows = [...section.matchAll(/^\| `([^`]+)` \| `([^`]+)` \| (yes|no) \| (yes|no) \| (yes|no) \|$/gm)];
  const passedOn = Object.keys(daemonMethods).filter((name) => name !== "auth/login");
  assert.deepEqual(
    rows.map(([, what]) => what),
    [...Object.keys(operatorPaths), ...passedOn],
  );
  for (const [, what, permission = "", ...cells] of rows)
    assert.deepEqual(
      cells,
      roles.map((role) => (may(role, permission) ? "yes" : "no")),
      what,
    );
});
