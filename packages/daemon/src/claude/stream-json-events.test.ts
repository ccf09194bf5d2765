/**
 * Goal: every message of the agent becomes the right event, and none stops the reading.
 * Method: the adapter against a fake of Claude Code that speaks in recorded shapes, on a clock the test moves. The same adapter is
 * driven against the real program in tests/agents.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { AgentEvent } from "./agent.ts";
import { relay, setUp } from "./stream-json.fixture.test.ts";

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

function pick(object: object, names: readonly string[]): object {
  return Object.fromEntries(Object.entries(object).filter(([name]) => names.includes(name)));
}
