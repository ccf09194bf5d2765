/**
 * Goal: every relay settles, one turn at a time, and every message of the agent becomes the right event.
 * Method: the adapter against a fake of Claude Code that speaks in recorded shapes, on a clock the test moves. The same adapter is
 * driven against the real program in tests/agents.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { settled } from "@hl/testkit/manual-clock.ts";
import { AgentFailure, type AgentEvent, type RelayResult } from "./agent.ts";
import { uuidOfRelay } from "./relay-message.ts";
import { failure, relay, setUp } from "./stream-json.fixture.test.ts";

describe("stream-json adapter: turns", () => {
  test("initialize answers with what the agent says about itself", async () => {
    const { agent, claude, events } = setUp();
    const info = agent.initialize(10_000);
    const response = {
      pid: 4718,
      claude_code_version: "2.1.330",
      session_state: "idle",
      current_permission_mode: "default",
    };
    claude.answer("initialize", {
      ...response,
      capabilities: ["interrupt_receipt_v1"],
      models: [{ value: "default" }],
    });
    assert.deepEqual(await info, {
      protocol: "stream-json",
      pid: 4718,
      agent_version: "2.1.330",
      session_id: undefined,
      state: "idle",
      permission_mode: "default",
      capabilities: ["interrupt_receipt_v1"],
      models: ["default"],
    });
    assert.equal(events[0]?.type, "agent.ready");
  });

  test("A1: an agent that never answers initialize is a timeout", async () => {
    const { agent, clock } = setUp();
    const info = failure(agent.initialize(10_000));
    await clock.advance(10_000);
    assert.equal((await info).kind, "timeout");
    assert.equal(clock.timers, 0);
  });

  test("a relay is one user line, and ends on the result with its uuid", async () => {
    const { agent, claude, clock, events } = setUp();
    const answer = relay(agent, "hello", { relayId: "r1" });
    assert.deepEqual(claude.prompts, [
      {
        type: "user",
        message: { role: "user", content: "hello" },
        parent_tool_use_id: null,
        session_id: "",
        uuid: uuidOfRelay("r1"),
      },
    ]);
    claude.start();
    claude.result("somebody-elses", { result: "not this" });
    claude.finish("echo: hello");
    const { raw, ...result } = await answer;
    assert.deepEqual(result, {
      text: "echo: hello",
      is_error: false,
      stop_reason: "end_turn",
      session_id: "s1",
      num_turns: 1,
      usage: { input_tokens: 10 },
      cost_usd: 0.00014,
      permission_denials: [],
    });
    assert.equal((raw as { type: string }).type, "result");
    const completed = events.filter((event) => event.type === "agent.turn_completed");
    assert.deepEqual(
      completed.map((event) => event.relayId),
      [undefined, "r1"],
    );
    assert.equal(clock.timers, 0);
  });

  test("relays go out one at a time, in order, each with its own result", async () => {
    const { agent, claude } = setUp();
    const answers = ["one", "two", "three"].map((text) => relay(agent, text));
    for (const text of ["one", "two", "three"]) {
      assert.equal(claude.prompts.at(-1).message.content, text);
      claude.start();
      claude.finish(`echo: ${text}`);
    }
    assert.deepEqual(
      (await Promise.all(answers)).map((answer) => answer.text),
      ["echo: one", "echo: two", "echo: three"],
    );
  });

  test("at turnsWaitingMax a relay is refused as busy, and the others are not disturbed", async () => {
    const { agent, claude } = setUp({ turnsWaitingMax: 1 });
    const answers = [relay(agent, "one"), relay(agent, "two")];
    const refused = await failure(relay(agent, "three"));
    assert.deepEqual([refused.kind, refused.facts.sent], ["busy", false]);
    claude.finish("1");
    claude.finish("2");
    assert.deepEqual(
      (await Promise.all(answers)).map((answer) => answer.text),
      ["1", "2"],
    );
  });

  test("what the agent reports is a result with is_error, by kind", async () => {
    const { agent, claude } = setUp();
    const cases = [
      [
        { is_error: true, terminal_reason: "api_error", api_error_status: 500, result: "API Error: 500" },
        { kind: "api", status: 500, message: "API Error: 500" },
      ],
      [
        { is_error: true, terminal_reason: "blocking_limit", result: "Prompt is too long" },
        { kind: "limit", message: "Prompt is too long" },
      ],
      [
        { subtype: "error_max_turns", is_error: true, terminal_reason: "max_turns", errors: ["Reached 2"] },
        { kind: "max_turns", message: "Reached 2" },
      ],
      [
        { subtype: "error_during_execution", is_error: true, terminal_reason: "aborted_tools" },
        { kind: "interrupted", message: "error_during_execution" },
      ],
      [
        { subtype: "something_new", is_error: false, result: "?" },
        { kind: "other", message: "?" },
      ],
    ] as const;
    for (const [result, error] of cases) {
      const answer = relay(agent, "x");
      claude.start();
      claude.result(claude.prompts.at(-1).uuid, result);
      assert.deepEqual((await answer).error, error);
      assert.equal((await answer).is_error, true);
    }
  });

  test("A2: a relay id sent again is not run twice: it joins the turn in flight, and later is a duplicate", async () => {
    const { agent, claude } = setUp();
    const first = relay(agent, "hello", { relayId: "r1" });
    const second = relay(agent, "hello", { relayId: "r1" });
    claude.start();
    claude.finish("echo: hello");
    assert.equal((await first).text, "echo: hello");
    assert.equal(await second, await first);
    const third = await relay(agent, "hello", { relayId: "r1" });
    assert.deepEqual([third.duplicate, third.is_error, third.text, third.session_id], [true, false, "", "s1"]);
    assert.equal(claude.prompts.length, 1);
  });

  test("A2: a uuid that the resumed agent knows is completed without a result: a duplicate", async () => {
    const { agent, claude } = setUp();
    const answer = relay(agent, "hello");
    claude.lifecycle(claude.prompts[0].uuid, "completed");
    assert.equal((await answer).duplicate, true);
    assert.equal(
      ((await setUp({ relayIdsKnown: ["old"] }).agent.relay("x", { relayId: "old", timeoutMs: 1 })) as RelayResult)
        .duplicate,
      true,
    );
  });

  test("P3: a turn that an earlier life of the daemon has sent is adopted, and another waits for its end", async () => {
    const { agent, claude } = setUp();
    const adopted = agent.adopt({ relayId: "old", timeoutMs: 1_000 });
    const info = agent.initialize(1_000);
    claude.answer("initialize", { session_state: "running" });
    await info;
    const next = relay(agent, "next");
    assert.equal(claude.prompts.length, 0);
    claude.result(uuidOfRelay("old"), { result: "done meanwhile" });
    assert.equal((await adopted).text, "done meanwhile");
    claude.finish("echo: next");
    assert.equal((await next).text, "echo: next");
  });

  test("a turn that is not ours holds the queue until the agent is idle", async () => {
    const { agent, claude } = setUp();
    const info = agent.initialize(1_000);
    claude.answer("initialize", { session_state: "running" });
    await info;
    const answer = relay(agent, "mine");
    assert.equal(claude.prompts.length, 0);
    claude.say({ type: "system", subtype: "session_state_changed", state: "idle", session_id: "s1" });
    assert.equal(claude.prompts.length, 1);
    claude.finish("echo: mine");
    assert.equal((await answer).text, "echo: mine");
  });

  test("JSON-RPC system/ping and system/info are answered from the agent, also during a turn", async () => {
    const { agent, claude, clock } = setUp();
    const info = agent.initialize(1_000);
    claude.answer("initialize", { pid: 7, claude_code_version: "2.1.330" });
    await info;
    const turn = relay(agent, "slow");
    const answer = agent.relay(
      { jsonrpc: "2.0", id: "claude-test", method: "system/info", params: {} },
      { relayId: "r9", timeoutMs: 1_000 },
    );
    await clock.advance(3);
    claude.answer("get_binary_version", { version: "2.1.330" });
    const { id, result } = (await answer) as { id: string; result: Record<string, unknown> };
    assert.equal(id, "claude-test");
    assert.deepEqual([result["pid"], result["agent_version"], result["latency_ms"]], [7, "2.1.330", 3]);
    claude.finish("done");
    await turn;
  });

  test("a wrong shape is refused before anything is written", async () => {
    const { agent, claude } = setUp();
    assert.equal((await failure(relay(agent, { type: "user" }))).kind, "invalid_message");
    assert.equal(claude.sent.length, 0);
  });
});

describe("stream-json adapter: what comes in between", () => {
  test("messages become events, with the relay and the session they belong to", async () => {
    const { agent, claude, events } = setUp();
    const answer = relay(agent, "x", { relayId: "r1" });
    claude.start();
    const common = { parent_tool_use_id: null, session_id: "s1" };
    const delta = (value: object): object => ({
      type: "stream_event",
      event: { type: "content_block_delta", index: 0, delta: value },
      ...common,
    });
    claude.say(
      { type: "system", subtype: "session_state_changed", state: "running", session_id: "s1" },
      { type: "stream_event", event: { type: "message_start", message: {} }, ...common },
      delta({ type: "thinking_delta", thinking: "hm" }),
      delta({ type: "text_delta", text: "one" }),
      {
        type: "assistant",
        message: { content: [{ type: "tool_use", id: "t1", name: "Bash", input: { command: "ls" } }] },
        ...common,
      },
      {
        type: "user",
        message: { content: [{ type: "tool_result", tool_use_id: "t1", content: "hi", is_error: false }] },
        ...common,
      },
      {
        type: "system",
        subtype: "api_retry",
        attempt: 1,
        max_retries: 10,
        retry_delay_ms: 529,
        error_status: 429,
        session_id: "s1",
      },
      { type: "brand_new", session_id: "s1" },
      { type: "result", surprise: "a known type in another shape" },
    );
    claude.finish("one");
    await answer;
    const summary = events.map(({ type, ...rest }) => [
      type,
      pick(rest, ["state", "kind", "text", "toolUseId", "toolName", "isError", "attempt", "delayMs", "status"]),
    ]);
    assert.deepEqual(summary, [
      ["agent.status", { state: "running" }],
      ["agent.delta", { kind: "thinking", text: "hm" }],
      ["agent.delta", { kind: "text", text: "one" }],
      ["agent.tool_call", { toolUseId: "t1", toolName: "Bash" }],
      ["agent.tool_result", { toolUseId: "t1", isError: false }],
      ["agent.retry", { attempt: 1, delayMs: 529, status: 429 }],
      ["agent.unknown", {}],
      ["agent.unknown", {}],
      ["agent.message", { text: "one" }],
      ["agent.turn_completed", {}],
    ]);
    assert.ok(events.every((event) => event.relayId === "r1" && event.sessionId === "s1"));
  });

  test("stdout that is no JSON is a log, and harms nothing", async () => {
    const { agent, events } = setUp();
    agent.receive(Buffer.from("Warning: something\n\n42\nnull\n{broken\n"));
    assert.deepEqual(
      events.map((event) => (event as Extract<AgentEvent, { type: "agent.log" }>).text),
      ["Warning: something", "42", "null", "{broken"],
    );
  });

  test("P7: a result longer than lineBytesMax is skipped, and the relay ends saying so", async () => {
    const { agent, claude, events } = setUp({ lineBytesMax: 1_000 });
    const answer = relay(agent, "x");
    claude.start();
    claude.finish("y".repeat(2_000));
    assert.deepEqual((await answer).error?.kind, "limit");
    assert.equal(events.filter((event) => event.type === "agent.line_skipped").length, 2);
    const next = relay(agent, "z");
    claude.finish("fine");
    assert.equal((await next).text, "fine");
  });

  test("a control request we do not know is refused, so that the turn does not hang on it", async () => {
    const { claude, events } = setUp();
    claude.say({
      type: "control_request",
      request_id: "h1",
      request: { subtype: "hook_callback", callback_id: "cb1" },
    });
    assert.deepEqual(claude.decisions, [
      { subtype: "error", request_id: "h1", error: "Not supported here: hook_callback" },
    ]);
    assert.equal(events[0]?.type, "agent.unknown");
  });
});

describe("stream-json adapter: ends", () => {
  test("A1: at its timeout a turn is interrupted, and the relay fails with what had come", async () => {
    const { agent, claude, clock } = setUp();
    const answer = failure(relay(agent, "x", { timeoutMs: 1_000 }));
    claude.start();
    claude.say({
      type: "stream_event",
      event: { type: "content_block_delta", delta: { type: "text_delta", text: "half" } },
      session_id: "s1",
    });
    await clock.advance(999);
    assert.equal(claude.requests("interrupt").length, 0);
    await clock.advance(1);
    assert.deepEqual(claude.requests("interrupt")[0].request, { subtype: "interrupt", cancel_queued: true });
    claude.result(claude.prompts[0].uuid, {
      subtype: "error_during_execution",
      is_error: true,
      terminal_reason: "aborted_streaming",
    });
    const { kind, facts } = await answer;
    assert.deepEqual([kind, facts], ["timeout", { sent: true, turnEnded: true, partialText: "half" }]);
    const next = relay(agent, "next");
    claude.finish("usable");
    assert.equal((await next).text, "usable");
  });

  test("A1: an agent that ignores the interrupt keeps its slot, but not its caller", async () => {
    const { agent, claude, clock } = setUp();
    const answer = failure(relay(agent, "x", { timeoutMs: 1_000 }));
    const queued = failure(relay(agent, "y", { timeoutMs: 5_000 }));
    await clock.advance(3_000);
    assert.deepEqual([(await answer).kind, (await answer).facts.turnEnded], ["timeout", false]);
    await clock.advance(2_000);
    assert.deepEqual([(await queued).kind, (await queued).facts.sent], ["timeout", false]);
    assert.equal(claude.prompts.length, 1);
    assert.equal(clock.timers, 0);
  });

  test("an aborted relay is cancelled: taken back while it waits, interrupted while it runs", async () => {
    const { agent, claude } = setUp();
    const [first, second, early] = [new AbortController(), new AbortController(), AbortSignal.abort()];
    const running = failure(relay(agent, "one", { signal: first.signal }));
    const waiting = failure(relay(agent, "two", { signal: second.signal }));
    assert.equal((await failure(relay(agent, "three", { signal: early }))).kind, "cancelled");
    second.abort();
    assert.deepEqual([(await waiting).kind, (await waiting).facts.sent], ["cancelled", false]);
    first.abort();
    await settled();
    assert.equal(claude.requests("interrupt").length, 1);
    claude.lifecycle(claude.prompts[0].uuid, "cancelled");
    assert.deepEqual([(await running).kind, (await running).facts.sent], ["cancelled", true]);
    assert.equal(claude.prompts.length, 1);
  });

  test("interrupt() ends the turn, whose relay answers as interrupted", async () => {
    const { agent, claude } = setUp();
    const answer = relay(agent, "x");
    const interrupted = agent.interrupt();
    claude.lifecycle(claude.prompts[0].uuid, "cancelled");
    claude.answer("interrupt", { still_queued: [], cancelled: [claude.prompts[0].uuid] });
    await interrupted;
    assert.equal((await answer).error?.kind, "interrupted");
  });

  test("A1: closed() rejects all that waits, with how the agent ended", async () => {
    const { agent, claude, clock } = setUp();
    const all = [
      relay(agent, "one"),
      relay(agent, "two"),
      agent.ping(1_000),
      agent.interrupt(),
      agent.initialize(1_000),
    ].map(failure);
    claude.start();
    const exit = { code: 143, signal: null, stderrTail: "bye" };
    agent.closed(exit);
    for (const { kind, facts } of await Promise.all(all)) assert.deepEqual([kind, facts.exit], ["exited", exit]);
    assert.deepEqual(
      (await Promise.all(all)).slice(0, 2).map(({ facts }) => facts.sent),
      [true, false],
    );
    assert.equal((await failure(relay(agent, "late"))).kind, "exited");
    assert.equal((await failure(agent.ping(1_000))).kind, "exited");
    await agent.endSession();
    assert.equal(clock.timers, 0);
  });

  test("a result in the last, unfinished line before the exit still counts", async () => {
    const { agent, claude } = setUp();
    const answer = relay(agent, "x");
    agent.receive(
      Buffer.from(
        JSON.stringify({
          type: "result",
          subtype: "success",
          is_error: false,
          result: "last",
          user_message_uuid: claude.prompts[0].uuid,
        }),
      ),
    );
    agent.closed({ code: 0, signal: null });
    assert.equal((await answer).text, "last");
  });

  test("endSession refuses new relays and lets the turn in flight end", async () => {
    const { agent, claude } = setUp();
    const running = relay(agent, "one");
    const waiting = failure(relay(agent, "two"));
    const ended = agent.endSession();
    assert.equal((await waiting).kind, "exited");
    assert.equal((await failure(relay(agent, "three"))).kind, "exited");
    claude.result(claude.prompts[0].uuid, {
      subtype: "error_during_execution",
      is_error: true,
      terminal_reason: "aborted_streaming",
    });
    claude.answer("end_session");
    await ended;
    assert.equal((await running).error?.kind, "interrupted");
  });

  test("a stdin that cannot be written fails the relay", async () => {
    const { agent } = setUp({ write: () => Promise.reject(new Error("EPIPE")) });
    const { kind, message } = await failure(relay(agent, "x"));
    assert.equal(kind, "exited");
    assert.match(message, /EPIPE/u);
  });

  test("ping says how long the agent took, and what it refuses is control_refused", async () => {
    const { agent, claude, clock } = setUp();
    const ping = agent.ping(1_000);
    await clock.advance(12);
    claude.answer("get_binary_version", { version: "2.1.330" });
    assert.equal(await ping, 12);
    const refused = failure(agent.ping(1_000));
    const request_id = claude.requests("get_binary_version").at(-1).request_id;
    claude.say({
      type: "control_response",
      response: { subtype: "error", request_id, error: "Unsupported control request subtype" },
    });
    assert.equal((await refused).kind, "control_refused");
    assert.ok((await refused) instanceof AgentFailure);
  });
});

function pick(object: object, names: readonly string[]): object {
  return Object.fromEntries(Object.entries(object).filter(([name]) => names.includes(name)));
}
