/**
 * Goal: an agent that speaks the specification's JSON-RPC is driven as well as Claude Code, over a crash of the daemon too (P3, A1, A2).
 * Method: the real daemon, its shims and its database; the agent's every word is the test's.
 */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { describe, test } from "node:test";
import { FakeAgents, type FakeAgent } from "@hl/testkit/fake-agent.ts";
import type { Message } from "@hl/testkit/message-client.ts";
import { temporaryFolder } from "@hl/testkit/programs.ts";
import { TestDaemon } from "@hl/testkit/system.ts";
import { refused } from "./agent-world.ts";

const say = (agent: FakeAgent, message: object): Promise<void> =>
  agent.write(`${JSON.stringify({ jsonrpc: "2.0", ...message })}\n`);

async function answer(agent: FakeAgent, method: string, n: number, outcome: object): Promise<Message> {
  const request = await agent.got((message) => message.method === method, n);
  await say(agent, { id: request.id, ...outcome });
  return request;
}

describe("agent over JSON-RPC", () => {
  test("A1, A2, P3: start, relay, a crash in a turn, the same relay id before and after its end, stop", async () => {
    using folder = temporaryFolder("hl-jsonrpc");
    await using agents = await FakeAgents.start();
    const claude_integration = { ...agents.config(folder.path), protocol: "jsonrpc" };
    await using daemon = await TestDaemon.start({ config: { claude_integration } });
    using first = await daemon.connect();
    const starting = first.call("claude/start", { workspace_path: daemon.workspace });
    const agent = await agents.next();
    await answer(agent, "system/ping", 1, { result: { status: "ok" } });
    await answer(agent, "system/info", 1, { result: { version: "7.7", session_id: "s-1" } });
    const { process_id, protocol, agent_version, session_id } = await starting;
    assert.deepEqual([protocol, agent_version, session_id], ["jsonrpc", "7.7", "s-1"]);

    const info = { jsonrpc: "2.0", id: "claude-test", method: "system/info", params: {} };
    const infoAnswered = first.call("claude/relay", { process_id, message: info });
    await answer(agent, "system/info", 2, { result: { version: "7.7" } });
    assert.deepEqual((await infoAnswered).response, { jsonrpc: "2.0", id: "claude-test", result: { version: "7.7" } });
    const note = { jsonrpc: "2.0", method: "note" };
    assert.equal((await first.call("claude/relay", { process_id, message: note })).response, null);

    const relay_id = randomUUID();
    const work = { process_id, relay_id, message: { jsonrpc: "2.0", id: 5, method: "work/do", params: { n: 1 } } };
    first.call("claude/relay", work).catch(() => {});
    const request = await agent.got(({ method }) => method === "work/do");
    await daemon.kill();
    await daemon.restart();
    using second = await daemon.connect();
    await answer(agent, "system/ping", 2, { result: {} });
    const { processes } = await second.call("claude/list");
    assert.deepEqual([processes[0].status, processes[0].session_id], ["running", "s-1"]);
    const joined = second.call("claude/relay", work);
    await say(agent, { id: request.id, error: { code: -7, message: "cannot" } });
    const wanted = { jsonrpc: "2.0", id: 5, error: { code: -7, message: "cannot" } };
    assert.deepEqual((await joined).response, wanted);

    await daemon.kill();
    await daemon.restart();
    using third = await daemon.connect();
    assert.deepEqual((await third.call("claude/relay", work)).response, wanted, "read in the log");
    assert.equal((await refused(third.call("claude/relay", { ...work, message: "other" }), -32602)).code, -32602);
    assert.equal(agent.claude.sent.filter(({ method }) => method === "work/do").length, 1);

    await answer(agent, "system/ping", 3, { result: {} });
    const stopping = third.call("claude/stop", { process_id });
    await answer(agent, "session/end", 1, { result: {} });
    agent.end();
    assert.equal((await stopping).status, "stopped");
  });

  test("A1: a relay that is not answered in time is 1203, its late answer reaches nobody, and the next one works", async () => {
    using folder = temporaryFolder("hl-jsonrpc");
    await using agents = await FakeAgents.start();
    await using daemon = await TestDaemon.start({ config: { claude_integration: agents.config(folder.path) } });
    using client = await daemon.connect();
    const starting = client.call("claude/start", { workspace_path: daemon.workspace, protocol: "jsonrpc" });
    const agent = await agents.next();
    await answer(agent, "system/ping", 1, { result: {} });
    await answer(agent, "system/info", 1, { error: { code: -32601, message: "no such method" } });
    const { process_id } = await starting;
    const late = refused(client.call("claude/relay", { process_id, message: "slow", timeout: 0.2 }), 1203);
    const slow = await agent.got(({ method }) => method === "message/send");
    await answer(agent, "message/interrupt", 1, { error: { code: -32601, message: "no such method" } });
    await late;
    const next = client.call("claude/relay", { process_id, message: "next" });
    await say(agent, { id: slow.id, result: "late" });
    const { params } = await answer(agent, "message/send", 2, { result: "x".repeat(3_000_000) });
    assert.deepEqual(params, { text: "next" });
    assert.equal((await next).response.result.length, 3_000_000);
  });
});
