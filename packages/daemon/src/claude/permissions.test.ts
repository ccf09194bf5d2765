/**
 * Goal: every permission request of the agent gets exactly one answer, and anything but a clear "allow" is a denial.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { settled } from "@hl/testkit/manual-clock.ts";
import type { Decision, PermissionRequest } from "./agent.ts";
import { failure, relay, setUp, type Fixture } from "./stream-json.fixture.test.ts";

interface Asked {
  readonly request: PermissionRequest;
  readonly decide: (decision: Decision) => void;
}

describe("stream-json adapter: permissions", () => {
  test("A3: the request reaches the callback with all there is to show, and the decision the agent", async () => {
    const { agent, claude, asked } = withApprover();
    const answer = relay(agent, "x", { relayId: "r1" });
    claude.start();
    claude.ask("p1", { decision_reason: "writes", blocked_path: "/w/made.txt" });
    const { raw, withdrawn, ...request } = asked[0]!.request;
    assert.deepEqual(request, {
      relayId: "r1",
      sessionId: "s1",
      agentRequestId: "p1",
      toolName: "Bash",
      toolUseId: "t1",
      input: { command: "touch made.txt" },
      title: "Bash",
      description: undefined,
      reason: "writes",
      blockedPath: "/w/made.txt",
      subagentId: undefined,
      requiresUserInteraction: false,
      canRemember: true,
    });
    assert.ok(raw);
    assert.equal(withdrawn.aborted, false);
    asked[0]!.decide({ behavior: "allow" });
    await settled();
    const response = { behavior: "allow", updatedInput: { command: "touch made.txt" } };
    assert.deepEqual(claude.decisions, [{ request_id: "p1", subtype: "success", response }]);
    claude.finish("done");
    await answer;
  });

  test("A3: a denial carries its message, an allowance its changed input", async () => {
    const { claude, asked } = withApprover();
    claude.ask("p1");
    claude.ask("p2");
    asked[1]!.decide({ behavior: "allow", updatedInput: { command: "touch other" } });
    asked[0]!.decide({ behavior: "deny", message: "not on a Friday", interrupt: true });
    await settled();
    const responses = Object.fromEntries(claude.decisions.map((decision) => [decision.request_id, decision.response]));
    assert.deepEqual(responses, {
      p1: { behavior: "deny", message: "not on a Friday", interrupt: true },
      p2: { behavior: "allow", updatedInput: { command: "touch other" } },
    });
  });

  test("remembering adds the agent's own rule for this session only, never a mode or the repository's settings", async () => {
    const { claude, asked } = withApprover();
    claude.ask("p1");
    claude.ask("p2", { suppress_always_allow_rule: true });
    assert.deepEqual(
      asked.map(({ request }) => request.canRemember),
      [true, false],
    );
    for (const { decide } of asked) decide({ behavior: "allow", remember: "session" });
    await settled();
    const rule = {
      type: "addRules",
      rules: [{ toolName: "Bash", ruleContent: "touch made.txt" }],
      behavior: "allow",
      destination: "session",
    };
    assert.deepEqual(
      claude.decisions.map((decision) => decision.response.updatedPermissions),
      [[rule], undefined],
    );
  });

  test("A3: it fails closed without a callback, on a rejection, on no decision, and on one that cannot be written", async () => {
    const circular: Record<string, unknown> = {};
    circular["self"] = circular;
    const callbacks = [
      undefined,
      () => Promise.reject(new Error("approver lost")),
      () => Promise.resolve(undefined as unknown as Decision),
      () => Promise.resolve({ behavior: "maybe" } as unknown as Decision),
      () => Promise.resolve({ behavior: "allow", updatedInput: circular } as const),
      () => {
        throw new Error("at once");
      },
    ];
    for (const onPermission of callbacks) {
      const { claude } = setUp({ onPermission });
      claude.ask("p1");
      await settled();
      assert.equal(claude.decisions.length, 1);
      assert.ok(claude.decisions[0].subtype === "error" || claude.decisions[0].response.behavior === "deny");
    }
  });

  test("A3: a withdrawn request is not answered, whatever is decided later", async () => {
    const { claude, asked } = withApprover();
    claude.ask("p1");
    claude.say({ type: "control_cancel_request", request_id: "p1" });
    assert.equal(asked[0]!.request.withdrawn.aborted, true);
    asked[0]!.decide({ behavior: "allow" });
    await settled();
    assert.deepEqual(claude.decisions, []);
  });

  test("A3: the end of the process withdraws what is open", async () => {
    const { agent, asked, claude } = withApprover();
    claude.ask("p1");
    agent.closed({ code: null, signal: "SIGKILL" });
    assert.equal(asked[0]!.request.withdrawn.aborted, true);
    assert.equal(asked[0]!.request.withdrawn.reason, "lost");
    asked[0]!.decide({ behavior: "allow" });
    await settled();
    assert.deepEqual(claude.decisions, []);
  });

  test("P3: a daemon that lets go of the agent says so, and answers nothing", async () => {
    const { agent, asked, claude } = withApprover();
    claude.ask("p1");
    agent.abandon();
    assert.equal(asked[0]!.request.withdrawn.reason, "detached");
    await settled();
    assert.deepEqual(claude.decisions, []);
  });

  test("P3: who decides is told what the agent still asks, before it is asked again", async () => {
    const told: unknown[] = [];
    const { agent, claude } = setUp({
      onAttached: (openRequests) => void told.push(openRequests),
      onPermission: async ({ agentRequestId }) => {
        told.push(agentRequestId);
        return { behavior: "deny", message: "no" };
      },
    });
    agent.attach();
    claude.ask("old");
    const info = agent.initialize(1_000);
    const request = { subtype: "can_use_tool", tool_name: "Write", input: { file_path: "/w/x" } };
    claude.answer("initialize", {}, { pending_permission_requests: [{ request_id: "p2", request }] });
    await info;
    assert.deepEqual(told, [["p2"], "p2"]);
  });

  test("a relay's clock stands still while a permission of its turn is open, and goes on after it", async () => {
    const { agent, claude, asked, clock } = withApprover();
    const answer = failure(relay(agent, "x", { timeoutMs: 1_000 }));
    claude.start();
    await clock.advance(400);
    claude.ask("p1");
    claude.ask("p2");
    await clock.advance(100_000);
    asked[0]!.decide({ behavior: "allow" });
    claude.say({ type: "control_cancel_request", request_id: "p2" });
    await clock.advance(599);
    assert.equal(claude.requests("interrupt").length, 0);
    await clock.advance(1);
    assert.equal(claude.requests("interrupt").length, 1);
    claude.answer("interrupt");
    claude.lifecycle(claude.prompts[0].uuid, "cancelled");
    assert.equal((await answer).kind, "timeout");
    assert.equal(clock.timers, 0);
  });

  test("P3: after attaching again the open requests are taken up once", async () => {
    const { agent, claude, asked } = withApprover();
    claude.ask("p1");
    const info = agent.initialize(1_000);
    const request = { subtype: "can_use_tool", tool_name: "Write", input: { file_path: "/w/x" } };
    const pending = [
      { type: "control_request", request_id: "p1", request },
      { request_id: "p2", request },
    ];
    claude.answer("initialize", { session_state: "requires_action" }, { pending_permission_requests: pending });
    await info;
    assert.deepEqual(
      asked.map(({ request }) => request.agentRequestId),
      ["p1", "p2"],
    );
  });
});

function withApprover(): Fixture & { readonly asked: Asked[] } {
  const asked: Asked[] = [];
  const fixture = setUp({
    onPermission: (request) => new Promise((resolve) => asked.push({ request, decide: resolve })),
  });
  return { ...fixture, asked };
}
