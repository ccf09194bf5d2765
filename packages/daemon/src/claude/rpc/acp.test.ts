/**
 * Goal: an agent that speaks ACP is put into a session that asks, and its turns, tools and permission requests mean what they mean in the
 * other protocols. Method: the engine against a fake agent in recorded shapes; tests/agents drives the same against real ones.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { settled } from "@hl/testkit/manual-clock.ts";
import type { AgentEvent, Decision, PermissionRequest } from "../agent.ts";
import type { EngineOptions } from "../engine.ts";
import { uuidOfRelay } from "../relay-message.ts";
import { acpProtocol } from "./acp.ts";
import { failureOf, setUpRpc, type RpcFixture } from "./rpc.fixture.test.ts";

const modes = (...ids: string[]): object => ({ currentModeId: ids[0], availableModes: ids.map((id) => ({ id })) });
const claudeModes = modes("auto", "default", "acceptEdits", "plan");
const capabilities = { loadSession: true, sessionCapabilities: { resume: {}, close: {} } };

async function ready(more: Partial<EngineOptions> = {}, session: object = { modes: claudeModes }): Promise<RpcFixture> {
  const fixture = setUpRpc(acpProtocol, more);
  const starting = fixture.engine.initialize(10_000);
  fixture.answer("initialize", {
    result: { protocolVersion: 1, agentCapabilities: capabilities, agentInfo: { name: "x", version: "9.9" } },
  });
  await settled();
  fixture.answer("session/new", { result: { sessionId: "s1", ...session } });
  await settled();
  if ("modes" in session) fixture.answer("session/set_mode", { result: {} });
  await starting;
  return fixture;
}

const update = (fields: object): object => ({
  method: "session/update",
  params: { sessionId: "s1", update: fields },
});
const chunk = (text: string): object =>
  update({ sessionUpdate: "agent_message_chunk", content: { type: "text", text } });
const names = (events: readonly AgentEvent[]): string[] => events.map(({ type }) => type.replace("agent.", ""));
const options = [
  { optionId: "r", name: "No", kind: "reject_once" },
  { optionId: "a", name: "Yes", kind: "allow_once" },
];
const asks = (id: unknown, more: object = {}): object => ({
  ...{ id, method: "session/request_permission" },
  params: {
    sessionId: "s1",
    toolCall: { toolCallId: "t1", name: "Bash", title: "touch a", rawInput: { command: "touch a" } },
    options,
    ...more,
  },
});

describe("acp adapter", () => {
  test("A3: before the first prompt the session is in a mode that asks; files and terminals are not offered", async () => {
    const { sent, events, engine } = await ready();
    assert.deepEqual(
      sent.map(({ method }) => method),
      ["initialize", "session/new", "session/set_mode"],
    );
    const { fs, terminal } = sent[0].params.clientCapabilities;
    assert.deepEqual([fs, terminal], [{ readTextFile: false, writeTextFile: false }, false]);
    const _meta = { claudeCode: { options: { settingSources: ["user"] } } };
    assert.deepEqual(sent[1].params, { cwd: "/work", mcpServers: [], _meta });
    assert.deepEqual(sent[2].params, { sessionId: "s1", modeId: "default" });
    assert.deepEqual([events[0]?.type, events[0]?.sessionId], ["agent.ready", "s1"]);
    assert.equal(engine.turnInFlight, undefined);
  });

  test("a mode that is asked for is taken; one that is not offered, and modes none of which asks, are refused", async () => {
    const session = { id: "ours", workspacePath: "/work", resume: false, known: false };
    const planning = await ready({ session: { ...session, mode: "plan" } });
    assert.equal(planning.request("session/set_mode").params.modeId, "plan");
    for (const [mode, offered, wanted] of [
      ["yolo", claudeModes, /auto, default, acceptEdits, plan; not "yolo"/],
      [undefined, modes("auto", "full"), /none of them is known to ask/],
      ["plan", undefined, /has no modes/],
    ] as const) {
      const { engine, answer } = setUpRpc(acpProtocol, { session: { ...session, mode } });
      const failed = failureOf(engine.initialize(10_000));
      answer("initialize", { result: { protocolVersion: 1 } });
      await settled();
      answer("session/new", { result: { sessionId: "s1", ...(offered ? { modes: offered } : {}) } });
      assert.match((await failed).message, wanted);
    }
    await ready({}, {}); // No modes at all: there is nothing to choose.
  });

  test("a wrong version, a refused session and silence are failures that say why", async () => {
    const version = setUpRpc(acpProtocol);
    const unspoken = failureOf(version.engine.initialize(1_000));
    version.answer("initialize", { result: { protocolVersion: 2 } });
    assert.match((await unspoken).message, /does not speak version 1/);

    const login = setUpRpc(acpProtocol);
    const refused = failureOf(login.engine.initialize(1_000));
    login.answer("initialize", { result: { protocolVersion: 1, authMethods: [{ id: "g", name: "Log in with G" }] } });
    await settled();
    login.answer("session/new", { error: { code: -32000, message: "Authentication required" } });
    assert.match((await refused).message, /Authentication required.*Log in with G/);

    const silent = setUpRpc(acpProtocol);
    const late = failureOf(silent.engine.initialize(1_000));
    await silent.clock.advance(1_000);
    assert.equal((await late).kind, "timeout");
  });

  test("resume goes on without repeating; load where there is no resume, its past untold; neither is refused", async () => {
    const session = { id: "old", workspacePath: "/work", resume: true, known: false };
    for (const [agentCapabilities, method] of [
      [capabilities, "session/resume"],
      [{ loadSession: true }, "session/load"],
    ] as const) {
      const { engine, answer, request, say, events } = setUpRpc(acpProtocol, { session });
      const starting = engine.initialize(1_000);
      answer("initialize", { result: { protocolVersion: 1, agentCapabilities } });
      await settled();
      assert.equal(request(method).params.sessionId, "old");
      say(chunk("of the past"));
      answer(method, { result: {} });
      assert.equal((await starting).session_id, "old");
      assert.deepEqual(names(events), ["ready"]);
    }
    const { engine, answer } = setUpRpc(acpProtocol, { session });
    const failed = failureOf(engine.initialize(1_000));
    answer("initialize", { result: { protocolVersion: 1 } });
    assert.match((await failed).message, /cannot go on/);
  });

  test("A2: a session that an agent does not have any more is begun anew where that is asked for, under the id that it gives", async () => {
    const session = { id: "old", workspacePath: "/work", resume: true, orNew: true, known: false };
    const { engine, answer, request } = setUpRpc(acpProtocol, { session });
    const starting = engine.initialize(1_000);
    answer("initialize", { result: { protocolVersion: 1, agentCapabilities: capabilities } });
    await settled();
    assert.equal(request("session/resume").params.sessionId, "old");
    answer("session/resume", { error: { code: -32002, message: "Resource not found: old" } });
    await settled();
    answer("session/new", { result: { sessionId: "new" } });
    assert.equal((await starting).session_id, "new");
  });

  test("A1: a turn: its text is what was said in it, its tools are told once each, its end says how", async () => {
    const { relay, say, answer, request, events } = await ready();
    const first = relay("hello");
    assert.deepEqual(request("session/prompt").params, { sessionId: "s1", prompt: [{ type: "text", text: "hello" }] });
    events.length = 0;
    say(chunk("one "), update({ sessionUpdate: "agent_thought_chunk", content: { type: "text", text: "hm" } }));
    const tool = { toolCallId: "t1", name: "Bash" };
    say(update({ sessionUpdate: "tool_call", ...tool, rawInput: {}, status: "pending" }));
    say(update({ sessionUpdate: "tool_call_update", toolCallId: "t1", rawInput: { command: "ls" } }));
    say(update({ sessionUpdate: "tool_call_update", toolCallId: "t1", status: "completed", rawOutput: "a b" }));
    say(update({ sessionUpdate: "usage_update", used: 5 }), chunk("two"));
    answer("session/prompt", { result: { stopReason: "end_turn", usage: { inputTokens: 3 } } });
    const result = await first;
    assert.deepEqual([result.text, result.is_error, result.stop_reason], ["one two", false, "end_turn"]);
    assert.deepEqual([result.session_id, result.usage], ["s1", { inputTokens: 3 }]);
    assert.deepEqual(names(events), [
      ...["delta", "delta", "tool_call", "tool_result", "notification", "delta", "message", "turn_completed"],
    ]);
    const call = events.find((event) => event.type === "agent.tool_call");
    assert.deepEqual([call?.toolName, call?.input], ["Bash", { command: "ls" }]);

    const ends: [answer: object, kind: string][] = [
      [{ result: { stopReason: "cancelled" } }, "interrupted"],
      [{ result: { stopReason: "max_tokens" } }, "limit"],
      [{ result: { stopReason: "max_turn_requests" } }, "max_turns"],
      [{ result: { stopReason: "refusal" } }, "other"],
      [{ result: {} }, "other"],
      [{ error: { code: -32000, message: "Authentication required" } }, "api"],
      [{ error: { code: -32603, message: "Overloaded", data: { errorKind: "server_error" } } }, "api"],
    ];
    for (const [end, kind] of ends) {
      const turn = relay("x");
      answer("session/prompt", end);
      assert.deepEqual([(await turn).is_error, (await turn).error.kind], [true, kind]);
    }
  });

  test("a long answer comes whole; one over the limit is cut and says so", async () => {
    const { relay, say, answer } = await ready({ lineBytesMax: 200_000 });
    const whole = relay("x");
    for (let n = 0; n < 200; n += 1) say(chunk("y".repeat(1_000)));
    answer("session/prompt", { result: { stopReason: "end_turn" } });
    assert.deepEqual([(await whole).text.length, (await whole).is_error], [200_000, false]);
    const cut = relay("x");
    for (let n = 0; n < 201; n += 1) say(chunk("y".repeat(1_000)));
    answer("session/prompt", { result: { stopReason: "end_turn" } });
    assert.deepEqual([(await cut).text.length, (await cut).error.kind], [200_000, "limit"]);
  });

  test("A3: options are chosen by kind; what cannot be said is a denial", async () => {
    const always = { optionId: "w", name: "Yes, during this session", kind: "allow_always" };
    const allowAlways = [...options, always];
    const cases: [decision: Decision, offered: object[], optionId: string | undefined][] = [
      [{ behavior: "allow" }, options, "a"],
      [{ behavior: "allow", remember: "session" }, options, "a"],
      [{ behavior: "allow", remember: "session" }, allowAlways, "w"],
      [{ behavior: "allow" }, allowAlways, "a"],
      [{ behavior: "allow" }, [always], undefined],
      [{ behavior: "allow", updatedInput: { command: "other" } }, options, "r"],
      [{ behavior: "deny", message: "lost" }, options, "r"],
      [{ behavior: "deny", message: "lost" }, [], undefined],
    ];
    for (const [decision, offered, optionId] of cases) {
      const asked: PermissionRequest[] = [];
      const { say, sent } = await ready({
        onPermission: async (request) => {
          asked.push(request);
          return decision;
        },
      });
      say(asks(0, { options: offered }));
      await settled();
      const outcome = optionId === undefined ? { outcome: "cancelled" } : { outcome: "selected", optionId };
      assert.deepEqual(sent.at(-1), { jsonrpc: "2.0", id: 0, result: { outcome } });
      const { toolName, toolUseId, input, canRemember, canEdit } = asked[0] as PermissionRequest;
      assert.equal(canEdit, false);
      assert.deepEqual([toolName, toolUseId, input], ["Bash", "t1", { command: "touch a" }]);
      assert.equal(canRemember, offered === allowAlways || offered.length === 1);
    }
  });

  test("A3: only what says that it is for this session is remembered: other options stay in files, or change the mode", async () => {
    const names: [offered: readonly string[], optionId: string][] = [
      [["Allow for this session"], "o0"],
      [["Yes, and don't ask again for touch", "Yes, allow all edits during this session"], "o1"],
      [["Always"], "a"],
      [["Always Allow in project: touch *", "Always Allow for user: touch *"], "a"],
      [["Yes, clear context and bypass permissions"], "a"],
      [["Allow this command for all future sessions"], "a"],
      [["Allow all server tools for this session", "Allow tool for this session"], "a"],
    ];
    for (const [offered, optionId] of names) {
      const asked: PermissionRequest[] = [];
      const { say, sent } = await ready({
        onPermission: async (request) => {
          asked.push(request);
          return { behavior: "allow", remember: "session" };
        },
      });
      const more = offered.map((name, index) => ({ optionId: `o${index}`, name, kind: "allow_always" }));
      say(asks(0, { options: [...more, ...options] }));
      await settled();
      assert.deepEqual(sent.at(-1).result, { outcome: { outcome: "selected", optionId } });
      assert.equal(asked[0]?.canRemember, optionId !== "a", offered.join());
    }
  });

  test("a tool is called by its name, which some agents have in _meta only, and not by the title of one call of it", async () => {
    const asked: PermissionRequest[] = [];
    const { say, relay, events } = await ready({
      onPermission: (request) => (asked.push(request), new Promise(() => {})),
    });
    void relay("x").catch(() => {});
    const tool = { toolCallId: "t7", _meta: { toolName: "run_shell_command" }, kind: "execute" };
    say(update({ sessionUpdate: "tool_call", ...tool, title: "Shell", status: "pending", rawInput: {} }));
    say(asks(0, { toolCall: { ...tool, title: "touch a", rawInput: { command: "touch a" } } }));
    say(update({ sessionUpdate: "tool_call_update", ...tool, status: "completed", rawInput: { command: "touch a" } }));
    await settled();
    assert.deepEqual([asked[0]?.toolName, asked[0]?.title], ["run_shell_command", "touch a"]);
    const call = events.find((event) => event.type === "agent.tool_call");
    assert.equal(call?.toolName, "run_shell_command");
  });

  test("A3: an interrupt cancels what was asked and the turn, which answers; deny with interrupt does the same", async () => {
    const requests: PermissionRequest[] = [];
    const { relay, say, sent, answer, engine } = await ready({
      onPermission: (request) => {
        requests.push(request);
        const deny = { behavior: "deny", message: "stop", interrupt: true } as const;
        return request.agentRequestId === "1" ? Promise.resolve(deny) : new Promise(() => {});
      },
    });
    const turn = relay("x");
    say(asks(0));
    await settled();
    await engine.interrupt();
    assert.equal(requests[0]?.withdrawn.aborted, true);
    assert.equal(requests[0]?.withdrawn.reason, "withdrawn");
    assert.deepEqual(sent.at(-2).result, { outcome: { outcome: "cancelled" } });
    assert.deepEqual([sent.at(-1).method, "id" in sent.at(-1)], ["session/cancel", false]);
    answer("session/prompt", { result: { stopReason: "cancelled" } });
    assert.equal((await turn).error.kind, "interrupted");

    const next = relay("y");
    say(asks(1));
    await settled();
    assert.deepEqual(
      sent.slice(-2).map(({ id, method }) => method ?? id),
      [1, "session/cancel"],
    );
    answer("session/prompt", { result: { stopReason: "cancelled" } });
    await next;
  });

  test("A1: one that ignores the cancel keeps its place, so that no two prompts run at once", async () => {
    const { relay, clock, sent } = await ready();
    const late = failureOf(relay("x", { timeoutMs: 1_000 }));
    const waiting = failureOf(relay("y", { timeoutMs: 5_000 }));
    await clock.advance(3_000);
    assert.deepEqual([(await late).kind, (await late).facts.turnEnded], ["timeout", false]);
    await clock.advance(2_000);
    assert.deepEqual([(await waiting).kind, (await waiting).facts.sent], ["timeout", false]);
    assert.equal(sent.filter(({ method }) => method === "session/prompt").length, 1);
  });

  test("a raw prompt gets our session; a list is passed on; a mode that asks nobody cannot be relayed", async () => {
    const { relay, answer, request, sent } = await ready();
    const prompt = [{ type: "text", text: "hi" }];
    for (const message of [
      prompt,
      { jsonrpc: "2.0", id: 1, method: "session/prompt", params: { sessionId: "other", prompt } },
    ]) {
      const turn = relay(message);
      assert.deepEqual(request("session/prompt").params, { sessionId: "s1", prompt });
      answer("session/prompt", { result: { stopReason: "end_turn" } });
      assert.equal((await turn).is_error, false);
    }
    const list = relay({ jsonrpc: "2.0", id: 8, method: "session/list" });
    answer("session/list", { result: { sessions: [] } });
    assert.deepEqual(await list, { jsonrpc: "2.0", id: 8, result: { sessions: [] } });
    const before = sent.length;
    for (const message of [
      "",
      7,
      null,
      [],
      {},
      [{ type: "code" }],
      { method: "session/set_mode", params: { modeId: "auto" } },
    ]) {
      assert.equal((await failureOf(relay(message))).kind, "invalid_message");
    }
    assert.equal(sent.length, before);
  });

  test("P3: after a restart nothing is begun anew; the turn's text is read in the log and what is still asked is asked", async () => {
    const asked: string[] = [];
    const { engine, say, sent, answer, relay, request } = setUpRpc(acpProtocol, {
      session: { id: "s1", workspacePath: "/work", resume: false, known: true },
      onAttached: (openRequests) => void asked.push(`open ${openRequests.join(" ")}`),
      onPermission: async ({ agentRequestId }) => {
        asked.push(agentRequestId);
        return { behavior: "allow" };
      },
    });
    engine.attach();
    engine.adopt("r");
    const joined = relay("x", { relayId: "r" });
    say(chunk("before "), asks(4), asks(5, { toolCall: { toolCallId: "t2", name: "Write", rawInput: { a: 1 } } }));
    say(update({ sessionUpdate: "tool_call_update", toolCallId: "t1", status: "completed" }));
    const starting = engine.initialize(undefined);
    assert.deepEqual(
      sent.map(({ method }) => method),
      ["_hl/ping"],
    );
    answer("_hl/ping", { error: { code: -32601, message: "Method not found" } });
    assert.equal((await starting).state, "running");
    assert.deepEqual(asked, ["open 5", "5"]);
    say(chunk("after"), { id: uuidOfRelay("r"), result: { stopReason: "end_turn" } });
    assert.equal((await joined).text, "before after");
    const next = relay("y");
    assert.equal(request("session/prompt").params.sessionId, "s1");
    answer("session/prompt", { result: { stopReason: "end_turn" } });
    await next;
  });

  test("A3, P3: who decides is told whether the agent has ended or only its daemon lets go of it", async () => {
    for (const [end, reason] of [
      [(engine: RpcFixture["engine"]) => engine.closed({ code: 1, signal: null }), "lost"],
      [(engine: RpcFixture["engine"]) => engine.abandon(), "detached"],
    ] as const) {
      const requests: PermissionRequest[] = [];
      const { relay, say, engine } = await ready({
        onPermission: (request) => {
          requests.push(request);
          return new Promise(() => {});
        },
      });
      const failed = failureOf(relay("x"));
      say(asks(0));
      await settled();
      end(engine);
      await failed;
      assert.equal(requests[0]?.withdrawn.reason, reason);
    }
  });

  test("stop cancels the turn, closes the session and ends the input", async () => {
    const { engine, relay, answer, sent, inputEnds } = await ready();
    const turn = relay("x");
    const ended = engine.endSession(3_000);
    await settled();
    assert.deepEqual(
      sent.slice(-2).map(({ method }) => method),
      ["session/cancel", "session/close"],
    );
    answer("session/prompt", { result: { stopReason: "cancelled" } });
    answer("session/close", { result: {} });
    await ended;
    assert.equal((await turn).error.kind, "interrupted");
    assert.equal(inputEnds(), 1);
  });
});
