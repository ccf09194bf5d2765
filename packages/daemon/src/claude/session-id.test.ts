/** Goal: P7: what an agent calls its session, itself and its model has a largest size in each protocol; every event carries the first. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { silentLogger } from "@hl/core/logger.ts";
import type { AgentRecord, AgentRecords } from "../store/agent-records.ts";
import { AgentFacts } from "./agent-facts.ts";
import { acpProtocol } from "./rpc/acp.ts";
import { jsonRpcProtocol } from "./rpc/jsonrpc.ts";
import { failureOf, setUpRpc } from "./rpc/rpc.fixture.test.ts";
import { agentWordCharsMax } from "./session-id.ts";
import { setUp } from "./stream-json.fixture.test.ts";

const longest = "s".repeat(agentWordCharsMax);
const tooLong = `${longest}s`;

test("stream-json: the longest id is taken, a longer one is none", () => {
  const { claude, events } = setUp();
  for (const session_id of [longest, tooLong])
    claude.say({ type: "system", subtype: "session_state_changed", state: "idle", session_id });
  assert.deepEqual(
    events.map(({ type, sessionId }) => [type, sessionId]),
    [longest, longest].map((id) => ["agent.status", id]),
  );
});

test("jsonrpc: the same, from its information and from the bridge's events", async () => {
  const { engine, answer, say, events, request } = setUpRpc(jsonRpcProtocol);
  const begun = engine.initialize(1_000);
  answer("system/ping", { result: {} });
  await new Promise(setImmediate);
  assert.ok(request("system/info"));
  answer("system/info", { result: { session_id: tooLong, version: "1" } });
  assert.equal((await begun).session_id, undefined);
  for (const session_id of [longest, tooLong])
    say({ method: "message/event", params: { type: "log", session_id, data: { text: "x" } } });
  assert.deepEqual(
    events.filter(({ type }) => type === "agent.log").map(({ sessionId }) => sessionId),
    [longest, longest],
  );
});

test("acp: an agent that names its session so cannot be used", async () => {
  const { engine, answer } = setUpRpc(acpProtocol);
  const begun = failureOf(engine.initialize(1_000));
  answer("initialize", { result: { protocolVersion: 1 } });
  await new Promise(setImmediate);
  answer("session/new", { result: { sessionId: tooLong } });
  const { kind, message } = await begun;
  assert.deepEqual(
    [kind, message],
    ["control_refused", "The agent opened a session without an id of at most 256 characters."],
  );
});

test("its version, model and mode are cut", () => {
  const ready: unknown[] = [];
  const records = { ready: async (_id: string, facts: unknown) => void ready.push(facts) } as unknown as AgentRecords;
  const record = {
    processId: "a",
    sessionId: "s",
    turns: 0,
    usage: {},
    life: 0,
    attempts: 0,
  } as unknown as AgentRecord;
  const facts = new AgentFacts(record, records, silentLogger);
  facts.onEvent({ type: "agent.message", text: "", thinking: "", raw: { message: { model: tooLong } } }, 0);
  const info = { permission_mode: tooLong, capabilities: [], models: [] };
  facts.onEvent({ type: "agent.ready", info: { protocol: "acp", ...info }, raw: null }, 0);
  facts.recordReady(1, tooLong);
  assert.deepEqual([facts.model, facts.permissionMode, facts.agentVersion], [longest, longest, longest]);
  assert.equal((ready[0] as { agentVersion: string }).agentVersion, longest);
});
