/**
 * Goal: rules decide before people, and people alone answer questions. Method: the policy over a table of approvals that only says who
 * was asked.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Approvals } from "./approvals.ts";
import { ApprovalPolicy, type RuleDecision } from "./policy.ts";
import type { Rule } from "./rules.ts";
import type { AskedCall } from "./tool-call.ts";

function setUp(rules: readonly Rule[], known = false) {
  const asked: AskedCall[] = [];
  const decisions: RuleDecision[] = [];
  const approvals = {
    knows: () => known,
    ask: async (call: AskedCall) => {
      asked.push(call);
      return { behavior: "deny", message: "a person" } as const;
    },
  } as unknown as Approvals;
  const policy = new ApprovalPolicy({ rules, approvals, onDecision: (decision) => void decisions.push(decision) });
  const call = (toolName: string, more: Partial<AskedCall> = {}): AskedCall => ({
    ...{ processId: "p", agentRequestId: "r", toolName, toolUseId: "t", input: { command: "ls" }, cwd: "/w" },
    ...{ requiresUserInteraction: false, canRemember: false, withdrawn: new AbortController().signal },
    ...more,
  });
  return { policy, asked, decisions, call };
}

const everything = (decision: Rule["decision"]): Rule[] => [{ tool: "*", decision }];

test("allow and deny need nobody, and are told to the audit with their rule; ask and no rule go to people", async () => {
  const allow = setUp(everything("allow"));
  assert.deepEqual(await allow.policy.ask(allow.call("Bash")), { behavior: "allow" });
  const about = { rule: "rule 1", processId: "p", toolName: "Bash", toolUseId: "t" };
  assert.deepEqual(allow.decisions, [{ decision: "allow", ...about }]);
  const deny = setUp(everything("deny"));
  const outcome = await deny.policy.ask(deny.call("Bash"));
  assert.ok(outcome.behavior === "deny" && /rule 1 of claude_integration.approvals.rules/.test(outcome.message));
  assert.deepEqual(deny.decisions, [{ decision: "deny", ...about }]);
  for (const rules of [everything("ask"), []]) {
    const ask = setUp(rules);
    await ask.policy.ask(ask.call("Bash"));
    assert.deepEqual([ask.asked.length, ask.decisions.length], [1, 0]);
  }
  assert.equal(allow.asked.length + deny.asked.length, 0);
});

test("A3: no rule answers a question to a person, by whatever sign it is one", async () => {
  const { policy, asked, call } = setUp(everything("allow"));
  await policy.ask(call("AskUserQuestion"));
  await policy.ask(call("mcp__x__y", { requiresUserInteraction: true }));
  assert.deepEqual(
    asked.map(({ requiresUserInteraction }) => requiresUserInteraction),
    [true, true],
  );
});

test("what is with a person already stays there, whatever the rules have become", async () => {
  const { policy, asked, call } = setUp(everything("allow"), true);
  await policy.ask(call("Bash"));
  assert.equal(asked.length, 1);
});

test("a call that the agent would not ask for: denied or asked for by rule, else left to the agent", () => {
  const verdict = (rules: readonly Rule[]): string | undefined => {
    const { policy, call } = setUp(rules);
    return policy.judge(call("Read"))?.decision;
  };
  assert.deepEqual([everything("deny"), everything("ask"), everything("allow"), []].map(verdict), [
    "deny",
    "ask",
    undefined,
    undefined,
  ]);
});
