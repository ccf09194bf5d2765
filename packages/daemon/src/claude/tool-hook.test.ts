/**
 * Goal: every tool call is judged before it runs, and what cannot be judged does not run: an error as the answer would let it. Method:
 * the adapter with a fake agent that calls its hook in the shapes recorded from Claude Code 2.1.330.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { settled } from "@hl/testkit/manual-clock.ts";
import type { ToolUse } from "./agent.ts";
import { setUp, type Fixture } from "./stream-json.fixture.test.ts";

const call = (requestId: string, input: object = {}): object => ({
  type: "control_request",
  request_id: requestId,
  request: {
    subtype: "hook_callback",
    callback_id: "hl-policy",
    tool_use_id: "t1",
    input: {
      session_id: "s1",
      cwd: "/w/sub",
      hook_event_name: "PreToolUse",
      tool_name: "Read",
      tool_input: { file_path: "/w/a" },
      tool_use_id: "t1",
      ...input,
    },
  },
});

const decisionOf = ({ claude }: Fixture, requestId: string): string | undefined => {
  const answers = claude.decisions.filter((one) => one.request_id === requestId);
  assert.equal(answers.length, 1, "exactly one answer");
  assert.equal(answers[0].subtype, "success", "an error would let it run");
  return answers[0].response.hookSpecificOutput?.permissionDecision;
};

describe("stream-json adapter: every tool call is judged", () => {
  test("the hook is asked for, for every tool, only where somebody judges", () => {
    const judged = setUp({ onToolUse: () => undefined });
    void judged.agent.initialize(1_000).catch(() => {});
    const hooks = { PreToolUse: [{ hookCallbackIds: ["hl-policy"] }] };
    assert.deepEqual(judged.claude.requests("initialize")[0].request.hooks, hooks);
    const { agent, claude } = setUp();
    void agent.initialize(1_000).catch(() => {});
    assert.equal(claude.requests("initialize")[0].request.hooks, undefined);
  });

  test("denied, asked for, or left to the agent, with what there is to judge by", async () => {
    const uses: ToolUse[] = [];
    const verdicts = [
      { decision: "deny", message: "not that" },
      { decision: "ask", message: "a person" },
      undefined,
    ] as const;
    const fixture = setUp({ onToolUse: (use) => verdicts[uses.push(use) - 1] });
    fixture.claude.say(call("h1"), call("h2"), call("h3"));
    await settled();
    assert.deepEqual(
      ["h1", "h2", "h3"].map((id) => decisionOf(fixture, id)),
      ["deny", "ask", undefined],
    );
    assert.equal(fixture.claude.decisions[0].response.hookSpecificOutput.permissionDecisionReason, "not that");
    assert.deepEqual(uses[0], { toolName: "Read", toolUseId: "t1", input: { file_path: "/w/a" }, cwd: "/w/sub" });
  });

  test("X2: what throws, and a shape that we do not know, is denied", async () => {
    const fixture = setUp({
      onToolUse: () => {
        throw new Error("broken");
      },
    });
    fixture.claude.say(call("h1"), call("h2", { tool_input: "text" }), call("h3", { hook_event_name: "Other" }));
    await settled();
    for (const id of ["h1", "h2", "h3"]) assert.equal(decisionOf(fixture, id), "deny");
  });

  test("P3: what was called before the daemon attached is denied, once, and not judged", async () => {
    let judged = 0;
    const fixture = setUp({ onToolUse: () => void (judged += 1) });
    fixture.agent.attach();
    fixture.claude.say(call("h1"));
    await settled();
    assert.deepEqual(fixture.claude.decisions, []);
    const ready = fixture.agent.initialize(1_000);
    fixture.claude.answer("initialize");
    await ready;
    assert.equal(decisionOf(fixture, "h1"), "deny");
    assert.equal(judged, 0);
  });
});
