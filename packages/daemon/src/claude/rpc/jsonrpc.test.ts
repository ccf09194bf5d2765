/**
 * Goal: an agent that speaks the specification's JSON-RPC is answered for, however it behaves. Method: the engine against a fake agent at
 * its lines, on a clock the test moves.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { settled } from "@hl/testkit/manual-clock.ts";
import type { Decision, PermissionRequest } from "../agent.ts";
import { uuidOfRelay } from "../relay-message.ts";
import { jsonRpcProtocol } from "./jsonrpc.ts";
import { failureOf, setUpRpc, type Message } from "./rpc.fixture.test.ts";

const send = (method: string, params: object = {}, id: unknown = "theirs"): object => ({
  ...{ jsonrpc: "2.0", id, method, params },
});

describe("jsonrpc adapter", () => {
  test("is ready when system/ping is answered, with what system/info says", async () => {
    const { engine, answer, events } = setUpRpc(jsonRpcProtocol);
    const ready = engine.initialize(10_000);
    answer("system/ping", { result: { status: "ok" } });
    await settled();
    answer("system/info", { result: { version: "1.2", session_id: "s1" } });
    const info = await ready;
    assert.deepEqual([info.protocol, info.agent_version, info.session_id], ["jsonrpc", "1.2", "s1"]);
    assert.deepEqual(
      events.map(({ type, sessionId }) => [type, sessionId]),
      [["agent.ready", "s1"]],
    );
  });

  test("P3: a conversation that has its id with the first turn only is known by it from then on", async () => {
    const { engine, relay, answer, events } = setUpRpc(jsonRpcProtocol);
    const ready = engine.initialize(10_000);
    answer("system/ping", { result: {} });
    await settled();
    answer("system/info", { result: {} });
    assert.equal((await ready).session_id, undefined);
    for (const result of [{ text: "hi", session_id: "s2" }, { text: "hi" }, { text: "hi", session_id: 7 }]) {
      const answered = relay("hello");
      answer("message/send", { result });
      await answered;
      assert.equal(events.findLast(({ type }) => type === "agent.turn_completed")?.sessionId, "s2");
    }
  });

  test("is ready without system/info; not without an answer, and not with a refused ping", async () => {
    const silent = setUpRpc(jsonRpcProtocol);
    const late = failureOf(silent.engine.initialize(5_000));
    await silent.clock.advance(5_000);
    assert.equal((await late).kind, "timeout");

    const refusing = setUpRpc(jsonRpcProtocol);
    const refused = failureOf(refusing.engine.initialize(5_000));
    refusing.answer("system/ping", { error: { code: -32601, message: "no such method" } });
    assert.match((await refused).message, /refused "system\/ping".*no such method/);

    const short = setUpRpc(jsonRpcProtocol);
    const ready = short.engine.initialize(5_000);
    short.answer("system/ping", { result: {} });
    await settled();
    await short.clock.advance(2_000);
    assert.equal((await ready).agent_version, undefined);
  });

  test("A1: the caller's id is put back, whatever its type, and an agent's error is the answer as it is", async () => {
    const { relay, answer, request } = setUpRpc(jsonRpcProtocol);
    for (const id of ["theirs", 7, null]) {
      const answered = relay(send("work/do", { n: 1 }, id));
      const { id: onWire, params } = request("work/do");
      assert.deepEqual(params, { n: 1 });
      assert.notEqual(onWire, id);
      answer("work/do", { result: { done: true } });
      assert.deepEqual(await answered, { jsonrpc: "2.0", id, result: { done: true } });
    }
    const failed = relay(send("work/do"));
    answer("work/do", { error: { code: -5, message: "cannot", data: { why: "tired" } } });
    const error = { code: -5, message: "cannot", data: { why: "tired" } };
    assert.deepEqual(await failed, { jsonrpc: "2.0", id: "theirs", error });
  });

  test("a plain string is message/send, a notification is answered null once it is written", async () => {
    const { relay, answer, request, sent } = setUpRpc(jsonRpcProtocol);
    const answered = relay("hello\nnot a second line");
    assert.deepEqual(request("message/send").params, { text: "hello\nnot a second line" });
    answer("message/send", { result: { text: "hi" } });
    assert.deepEqual((await answered).result, { text: "hi" });
    assert.equal(await relay({ jsonrpc: "2.0", method: "note", params: [1] }), null);
    assert.deepEqual(sent.at(-1), { jsonrpc: "2.0", method: "note", params: [1] });
  });

  test("what the bridge tells of a turn are events as of any agent; its answer brings the numbers", async () => {
    const { engine, relay, answer, say, events, request } = setUpRpc(jsonRpcProtocol);
    const answered = relay("go", { relayId: "r1" });
    const { id } = request("message/send");
    const tell = (type: string, data: object, relay_id: string = id): void =>
      say({ method: "message/event", params: { type, relay_id, session_id: "s9", data } });
    tell("delta", { kind: "text", text: "Hel" });
    tell("delta", { kind: "text", text: "inner", subagentOf: "t0" });
    tell("message", { text: "Hello", thinking: "hm" });
    tell("tool_call", { toolUseId: "t1", toolName: "Bash", input: { command: "ls" }, subagentOf: "t0" });
    tell("tool_result", { toolUseId: "t1", isError: true, content: [{ type: "text", text: "x" }] });
    tell("retry", { attempt: 1, delayMs: 500, status: null });
    tell("status", { state: "running" });
    tell("turn_completed", {});
    tell("gap", { bytes: 3 });
    tell("log", { text: "printed" });
    tell("unknown", { raw: { type: "new" } });
    tell("delta", { kind: "text", text: "late" }, "of a turn that was given up");
    tell("tool_call", { toolUseId: 7 });
    tell("constructor", {});
    say({ method: "message/event", params: [1] }, { method: "other", params: {} });
    assert.equal(engine.turnInFlight?.partialText, "Hello");
    const numbers = { num_turns: 2, usage: { input_tokens: 3 }, cost_usd: 0.5, stop_reason: "end_turn" };
    answer("message/send", { result: { text: "Hello", is_error: false, session_id: "s9", ...numbers } });
    await answered;
    const told = events.filter(({ type }) => type !== "agent.status");
    assert.deepEqual(
      told.map(({ type }) => type.replace("agent.", "")),
      [
        ...["delta", "delta", "message", "tool_call", "tool_result", "retry", "gap", "log", "unknown", "delta"],
        ...["notification", "notification", "notification", "notification", "turn_completed"],
      ],
    );
    const own = { relayId: "r1", sessionId: "s9" };
    assert.deepEqual(told[0], { type: "agent.delta", kind: "text", text: "Hel", ...own });
    assert.deepEqual(told[2], { type: "agent.message", text: "Hello", thinking: "hm", raw: null, ...own });
    const call = { toolUseId: "t1", toolName: "Bash", input: { command: "ls" }, subagentOf: "t0", raw: null };
    assert.deepEqual(told[3], { type: "agent.tool_call", ...call, ...own });
    assert.deepEqual(told[8], { type: "agent.unknown", raw: { type: "new" }, ...own });
    assert.equal(told[9]?.relayId, undefined, "it belongs to no turn that is there");
    const [{ result }] = told.slice(-1) as [Extract<(typeof told)[number], { type: "agent.turn_completed" }>];
    const { raw: _raw, ...said } = result;
    assert.deepEqual(said, { text: "Hello", is_error: false, session_id: "s9", ...numbers });
  });

  test("one turn at a time in order; system requests pass, and one turn too many is busy", async () => {
    const { relay, answer, sent } = setUpRpc(jsonRpcProtocol, { turnsWaitingMax: 1 });
    const first = relay("one");
    const second = relay("two");
    assert.equal((await failureOf(relay("three"))).kind, "busy");
    const ping = relay(send("system/ping", {}, 9));
    answer("system/ping", { result: "pong" });
    assert.deepEqual(await ping, { jsonrpc: "2.0", id: 9, result: "pong" });
    const turns = (): Message[] => sent.filter(({ method }) => method === "message/send");
    assert.equal(turns().length, 1);
    answer("message/send", { result: 1 });
    assert.equal((await first).result, 1);
    assert.equal(turns().length, 2);
    answer("message/send", { result: 2 });
    assert.equal((await second).result, 2);
  });

  test("A1: an answer after the time limit reaches nobody, is logged, and the next turn is answered", async () => {
    const { relay, answer, request, say, clock, events } = setUpRpc(jsonRpcProtocol);
    const late = failureOf(relay("slow", { timeoutMs: 1_000 }));
    const slow = request("message/send");
    await clock.advance(1_000);
    answer("message/interrupt", { error: { code: -32601, message: "no such method" } });
    await clock.advance(2_000);
    assert.deepEqual([(await late).kind, (await late).facts.turnEnded], ["timeout", false]);
    const next = relay("next");
    say({ id: slow.id, result: "late" });
    say({ id: "never asked", result: 1 });
    answer("message/send", { result: "in time" });
    assert.equal((await next).result, "in time");
    const logs = events.filter(({ type }) => type === "agent.log" || type === "agent.unknown");
    assert.deepEqual(
      logs.map(({ type }) => type),
      ["agent.log", "agent.unknown"],
    );
    assert.match((logs[0] as { text: string }).text, /relay-1 came after its time limit/);
    assert.equal(clock.timers, 0);
  });

  test("A2: the same relay id joins the turn, and is not written again when it has ended", async () => {
    const { relay, answer, sent } = setUpRpc(jsonRpcProtocol);
    const both = [relay("x", { relayId: "r" }), relay("x", { relayId: "r" })];
    answer("message/send", { result: 1 });
    for (const one of both) assert.equal((await one).result, 1);
    // Its answer is in the log, where the daemon looks first; the engine itself only knows that it was.
    assert.equal((await failureOf(relay("x", { relayId: "r" }))).kind, "outcome_unknown");
    assert.equal(sent.length, 1);
  });

  test("a wrong shape is invalid_message that says what is wrong, and nothing is written", async () => {
    const { relay, sent } = setUpRpc(jsonRpcProtocol);
    const cases: [message: unknown, wanted: RegExp][] = [
      ["", /empty string/],
      [7, /the message is 7/],
      [null, /the message is null/],
      [[send("x")], /an array/],
      [{ id: 1, method: "x" }, /jsonrpc must be "2.0"/],
      [{ jsonrpc: "2.0", id: 1 }, /method must be a string/],
      [{ jsonrpc: "2.0", id: {}, method: "x" }, /id must be/],
      [{ jsonrpc: "2.0", id: 1, method: "x", params: 3 }, /params must be/],
    ];
    for (const [message, wanted] of cases) {
      const { kind, message: text } = await failureOf(relay(message));
      assert.equal(kind, "invalid_message");
      assert.match(text, wanted);
      assert.match(text, /allowed are/);
    }
    assert.deepEqual(sent, []);
  });

  test("steer is refused: the protocol has no way for it", async () => {
    const { relay, sent } = setUpRpc(jsonRpcProtocol);
    const { kind, message, facts } = await failureOf(relay("x", { relayId: "r", steer: true }));
    assert.deepEqual([kind, facts.sent, sent.length], ["invalid_message", false, 0]);
    assert.match(message, /^jsonrpc has no way/);
  });

  test("a line as long as the longest is sent, one byte more is refused", async () => {
    const { relay, sent } = setUpRpc(jsonRpcProtocol, { lineBytesMax: 1_000 });
    void relay("x", { relayId: "r" }).catch(() => {});
    const room = 1_000 - Buffer.byteLength(`${JSON.stringify(sent[0])}\n`) + 1;
    const other = setUpRpc(jsonRpcProtocol, { lineBytesMax: 1_000 });
    assert.equal((await failureOf(other.relay("x".repeat(room + 1), { relayId: "r" }))).kind, "invalid_message");
    assert.equal(other.sent.length, 0);
    void other.relay("x".repeat(room), { relayId: "r" }).catch(() => {});
    assert.equal(other.sent.length, 1);
  });

  test("A3: approval/request reaches a human, its decision the agent; other requests are not offered", async () => {
    const asked: PermissionRequest[] = [];
    const decision = Promise.withResolvers<Decision>();
    const onPermission = (request: PermissionRequest): Promise<Decision> => {
      asked.push(request);
      return decision.promise;
    };
    const { relay, say, sent, events, clock } = setUpRpc(jsonRpcProtocol, { onPermission });
    const late = failureOf(relay("x", { timeoutMs: 1_000, relayId: "r" }));
    const params = { tool_name: "Bash", input: { command: "touch a" }, tool_use_id: "t1" };
    say({ id: 0, method: "approval/request", params });
    say({ id: 1, method: "fs/read_text_file", params: {} });
    await settled();
    assert.deepEqual(sent.at(-1).error.code, -32601);
    await clock.advance(60_000); // The relay's clock stands still meanwhile.
    assert.deepEqual([asked[0]?.toolName, asked[0]?.relayId, asked[0]?.agentRequestId], ["Bash", "r", "0"]);
    decision.resolve({ behavior: "allow", updatedInput: { command: "touch b" } });
    await settled();
    assert.deepEqual(sent.at(-1), {
      ...{ jsonrpc: "2.0", id: 0 },
      result: { decision: "allow", updated_input: { command: "touch b" } },
    });
    const states = events.flatMap((event) => (event.type === "agent.status" ? [event.state] : []));
    assert.deepEqual(states, ["running", "requires_action", "running"]);
    await clock.advance(3_000);
    assert.equal((await late).kind, "timeout");
  });

  test("A3: nobody to ask, a callback that fails and one request too many are denials; a withdrawn one is not answered", async () => {
    const nobody = setUpRpc(jsonRpcProtocol);
    nobody.say({ id: 5, method: "approval/request", params: { tool_name: "Bash", input: {} } });
    await settled();
    assert.equal(nobody.sent.at(-1).result.decision, "deny");

    const requests: PermissionRequest[] = [];
    const waiting = setUpRpc(jsonRpcProtocol, {
      onPermission: (request) => {
        requests.push(request);
        return request.toolName === "Broken" ? Promise.reject(new Error("no")) : new Promise(() => {});
      },
    });
    waiting.say({ id: 1, method: "approval/request", params: { tool_name: "Broken", input: {} } });
    await settled();
    assert.match(waiting.sent.at(-1).result.message, /Nobody could be asked/);
    for (let id = 10; id <= 110; id += 1) {
      waiting.say({ id, method: "approval/request", params: { tool_name: "Bash", input: {} } });
    }
    await settled();
    assert.deepEqual([waiting.sent.at(-1).id, waiting.sent.at(-1).result.decision], [110, "deny"]);
    const before = waiting.sent.length;
    waiting.say({ method: "$/cancelRequest", params: { id: 10 } });
    await settled();
    assert.equal(requests[1]?.withdrawn.aborted, true);
    assert.equal(waiting.sent.length, before);
  });

  test("P3: after a restart the answer of the open relay is taken from the log, also when it came meanwhile", async () => {
    for (const during of ["past", "present"]) {
      const session = { id: "s1", workspacePath: "/", resume: false, known: true };
      const { engine, say, answer, relay } = setUpRpc(jsonRpcProtocol, { session });
      engine.attach();
      engine.adopt("r");
      const joined = relay("x", { relayId: "r" });
      const result = { id: uuidOfRelay("r"), result: { text: "here" } };
      if (during === "past") say(result);
      const ready = engine.initialize(undefined);
      answer("system/ping", { result: {} });
      assert.equal((await ready).state, during === "past" ? "idle" : "running");
      if (during === "present") say(result);
      assert.deepEqual((await joined).result, { text: "here" });
    }
  });

  test("P3: a turn behind a gap in the log goes on where the agent says that it works, and has ended where it does not", async () => {
    for (const state of ["running", "idle", undefined]) {
      const session = { id: "s1", workspacePath: "/", resume: false, known: true };
      const { engine, say, answer, relay } = setUpRpc(jsonRpcProtocol, { session });
      engine.attach();
      engine.adopt("r");
      const joined = relay("x", { relayId: "r" }).catch((error: unknown) => error);
      engine.lost(1_000);
      const ready = engine.initialize(undefined);
      answer("system/ping", { result: {} });
      await settled();
      answer("system/info", { result: { state } });
      await ready;
      if (state === "running") say({ id: uuidOfRelay("r"), result: { text: "behind the gap" } });
      const outcome = await joined;
      if (state === "running") assert.deepEqual((outcome as { result: unknown }).result, { text: "behind the gap" });
      else assert.match(String(outcome), /not known here any more/);
    }
  });

  test("P3, A3: what was asked before a restart and is not over is asked again", async () => {
    const asked: string[] = [];
    const { engine, say, answer } = setUpRpc(jsonRpcProtocol, {
      session: { id: "s1", workspacePath: "/", resume: false, known: true },
      onPermission: async ({ agentRequestId }) => {
        asked.push(agentRequestId);
        return { behavior: "deny", message: "no" };
      },
    });
    engine.attach();
    engine.adopt("r");
    say({ id: 1, method: "approval/request", params: { tool_name: "A", input: {} } });
    say({ id: 2, method: "approval/request", params: { tool_name: "B", input: {} } });
    say({ method: "$/cancelRequest", params: { id: 1 } });
    await settled();
    assert.deepEqual(asked, []);
    const ready = engine.initialize(undefined);
    answer("system/ping", { result: {} });
    await ready;
    assert.deepEqual(asked, ["2"]);
  });

  test("stop asks for the end of the session, and ends the input also where that is not known", async () => {
    const knows = setUpRpc(jsonRpcProtocol);
    const ended = knows.engine.endSession(3_000);
    knows.answer("session/end", { result: {} });
    await ended;
    assert.equal(knows.inputEnds(), 1);
    assert.equal((await failureOf(knows.relay("x"))).kind, "exited");
    const silent = setUpRpc(jsonRpcProtocol);
    const given = silent.engine.endSession(3_000);
    await silent.clock.advance(2_000);
    await given;
    assert.equal(silent.inputEnds(), 1);
  });

  test("what is no message is told and harms nothing: garbage, other JSON, a line that is too long, a gap", async () => {
    const { say, events, engine, relay, answer } = setUpRpc(jsonRpcProtocol, { lineBytesMax: 200 });
    say("Loading…", "[1]", "7", { hello: 1 }, { id: {}, result: 1 }, "x".repeat(300));
    engine.receive(Buffer.from('{"jsonrpc":"2.0","met'));
    engine.lost(50);
    engine.receive(Buffer.from('rest of a line"}\n'));
    say({ method: "progress", params: { percent: 5 } });
    assert.deepEqual(
      events.map(({ type }) => type.replace("agent.", "")),
      ["log", "log", "log", "unknown", "unknown", "line_skipped", "gap", "notification"],
    );
    const answered = relay("still there");
    answer("message/send", { result: "yes" });
    assert.equal((await answered).result, "yes");
  });

  test("A1: a turn in flight and one that waits are told of the end of the process", async () => {
    const { engine, relay } = setUpRpc(jsonRpcProtocol);
    const [flying, waiting] = [failureOf(relay("one")), failureOf(relay("two"))];
    engine.closed({ code: 3, signal: null });
    assert.deepEqual([(await flying).kind, (await flying).facts.sent], ["exited", true]);
    assert.deepEqual([(await waiting).kind, (await waiting).facts.sent], ["exited", false]);
  });
});
