/**
 * Goal: one turn at a time, each relay with its own result, and none run twice.
 * Method: the adapter against a fake of Claude Code that speaks in recorded shapes, on a clock the test moves. The same adapter is
 * driven against the real program in tests/agents.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { RelayResult } from "./agent.ts";
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
    agent.attach();
    agent.adopt("old");
    const adopted = relay(agent, "its message", { relayId: "old" });
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
