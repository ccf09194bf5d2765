/**
 * Goal: A3: what an agent in a VM asks reaches an operator of the cloud, whose decision reaches the agent, under the operator's own
 * name. Method: real hl-cloud, enrolled hl-daemon and hl-client; the agent is a program whose every word the test decides.
 */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { FakeAgents, type FakeAgent } from "@hl/testkit/fake-agent.ts";
import { http } from "@hl/testkit/http.ts";
import type { Message } from "@hl/testkit/message-client.ts";
import { printedToken, temporaryFolder } from "@hl/testkit/programs.ts";
import { startSystem, type TestSystem } from "@hl/testkit/system.ts";
import { until } from "@hl/testkit/waiting.ts";

let agents: FakeAgents;
let system: TestSystem;
let agent: FakeAgent;
let process_id: string;
const folder = temporaryFolder("hl-fake");

before(async () => {
  agents = await FakeAgents.start();
  const claude_integration = agents.config(folder.path);
  system = await startSystem({ config: { claude_integration } });
  const starting = system.operator.call("claude/start", { workspace_path: system.daemon.workspace });
  agent = await agents.next();
  await agent.initialized(1);
  process_id = (await starting).process_id;
});
after(async () => {
  await system[Symbol.asyncDispose]();
  await agents[Symbol.asyncDispose]();
  folder[Symbol.dispose]();
});

/** What the agent is told of its request. */
const answered = async (requestId: string): Promise<Message> =>
  (await agent.got(({ type, response }) => type === "control_response" && response.request_id === requestId)).response
    .response;

test("A3: asked in the VM, seen and decided through the cloud by hl-client, by the operator's own name", async () => {
  const watching = await system.operator.connect();
  watching.raw(JSON.stringify({ jsonrpc: "2.0", id: "w", method: "approval/subscribe", params: {} }));
  const changed = (state: string): Promise<Message> =>
    watching.next(({ method, params }) => method === "approval/changed" && params.state === state);
  const requestId = randomUUID();
  agent.claude.ask(requestId, { decision_reason: "it writes" });
  const { params: asked } = await changed("pending");
  assert.deepEqual(
    [asked.process_id, asked.input, asked.reason],
    [process_id, { command: "touch made.txt" }, "it writes"],
  );

  const listed = await system.client(["approvals", "list"]);
  assert.match(String(listed.stdout), new RegExp(`${asked.approval_id} +pending .* Bash +touch made.txt`));
  const approved = await system.client(["approvals", "approve", asked.approval_id, "--remember"]);
  assert.deepEqual([approved.code, String(approved.stdout)], [0, "approved: Bash touch made.txt\n"]);
  const told = await answered(requestId);
  assert.deepEqual([told.behavior, told.updatedInput], ["allow", { command: "touch made.txt" }]);
  assert.equal(told.updatedPermissions[0].destination, "session");
  const { params: decided } = await changed("approved");
  assert.deepEqual([decided.decided_by.via, decided.decided_by.on_behalf_of], ["cloud", "tester"]);
  const late = await system.client(["approvals", "deny", asked.approval_id]);
  assert.equal(late.code, 1);
  assert.match(late.stderr, /approved by tester already/);
  watching[Symbol.dispose]();

  const about = (type: string) => (event: Message) =>
    event.event_type === type && event.data.approval_id === asked.approval_id;
  assert.equal((await system.operator.event(about("approval.requested"))).data.input, undefined);
  const event = await system.operator.event(about("approval.decided"));
  assert.deepEqual([event.data.state, event.data.decided_by.on_behalf_of], ["approved", "tester"]);
  assert.equal((await system.operator.event(about("audit"))).data.on_behalf_of, "tester");
});

test("GET /v1/approvals: what waits in the whole fleet; X3: only for who may decide", async () => {
  const requestId = randomUUID();
  agent.claude.ask(requestId);
  const approvals = await until("the request", async () => {
    const { approvals: pending } = await system.operator.call("approval/list", { state: "pending" });
    return pending.length > 0 && (pending as Message[]);
  });
  const url = `${system.cloud.url}/v1/approvals`;
  const { json } = await until("every VM to have answered in time", async () => {
    const answer = await http(url, { token: system.cloud.operatorToken });
    return answer.json.unanswered.length === 0 && answer;
  });
  assert.deepEqual(json, { approvals: [{ instance: "test-vm-001", ...approvals[0] }], unanswered: [] });
  const viewer = await printedToken(["operator", "add", "v", "--home", system.cloud.home, "--role", "viewer"]);
  assert.equal((await http(url, { token: viewer })).status, 403);
  await system.operator.call("approval/decide", { approval_id: approvals[0].approval_id, decision: "deny" });
  assert.equal((await answered(requestId)).behavior, "deny");
  assert.deepEqual((await http(url, { token: system.cloud.operatorToken })).json.approvals, []);
});

test("limits: a hundred requests of one agent are open at most; one more is denied and told why", async () => {
  const ids = Array.from({ length: 101 }, () => randomUUID());
  for (const id of ids) agent.claude.ask(id);
  assert.match((await answered(ids[100]!)).message, /100 permission requests are open/);
  for (const id of ids) agent.claude.say({ type: "control_cancel_request", request_id: id });
});

test("SIGHUP: new rules and a new time limit hold at once, what waits keeps its own, and what needs a start is named", async () => {
  const file = join(system.daemon.home, "config/daemon.json");
  const configure = (approvals: object, more: object = {}): void => {
    const config = JSON.parse(readFileSync(file, "utf8"));
    Object.assign(config.claude_integration, { approvals }, more);
    writeFileSync(file, JSON.stringify(config));
    system.daemon.program.signal("SIGHUP");
  };
  const pending = async (): Promise<Message[]> =>
    (await system.operator.call("approval/list", { state: "pending" })).approvals;
  const before = randomUUID();
  agent.claude.ask(before);
  const [waiting] = await until("the request", async () => {
    const approvals = await pending();
    return approvals.length === 1 ? approvals : undefined;
  });

  const rules = [{ tool: "Bash", pattern: "touch by-rule*", decision: "allow" }];
  configure({ rules, timeout_seconds: 120 }, { communication: { buffer_size: 777 } });
  await until("the new rules in the log", () => system.daemon.log.includes("what is new holds from now on"));
  const waits = /"waiting":\["\/claude_integration\/communication\/buffer_size"\]/;
  await until("what needs a start in the log", () => waits.test(system.daemon.log));
  const allowed = randomUUID();
  agent.claude.ask(allowed, { input: { command: "touch by-rule.txt" } });
  assert.equal((await answered(allowed)).behavior, "allow");
  const shown = (await system.operator.call("system/config/get")).config.claude_integration;
  assert.deepEqual([shown.approvals.rules, shown.communication.buffer_size === 777], [rules, false]);

  const after = randomUUID();
  agent.claude.ask(after, { input: { command: "touch after.txt" } });
  const [old, fresh] = await until("the second request", async () => {
    const approvals = await pending();
    return approvals.length === 2 ? approvals : undefined;
  });
  assert.deepEqual([old.approval_id, old.expires_at], [waiting.approval_id, waiting.expires_at]);
  assert.equal(Math.round(fresh.expires_at - fresh.created_at), 120);
  configure({ rules: "none" });
  await until("the refusal in the log", () => system.daemon.log.includes("the old one stays in force"));
  const still = randomUUID();
  agent.claude.ask(still, { input: { command: "touch by-rule.txt" } });
  assert.equal((await answered(still)).behavior, "allow");
  for (const id of [before, after]) agent.claude.say({ type: "control_cancel_request", request_id: id });
});
