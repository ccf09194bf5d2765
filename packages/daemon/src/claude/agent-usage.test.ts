/** Goal: what an agent uses is counted once, in the words of either protocol, also over a restart of the daemon or of the agent. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { AgentEvent, RelayResult } from "./agent.ts";
import { noUsage, savedCost, sumOf, UsageMeter } from "./agent-usage.ts";

const ended = (result: Partial<RelayResult>): AgentEvent => ({
  type: "agent.turn_completed",
  result: { text: "", is_error: false, stop_reason: null, raw: null, ...result },
});
const called: AgentEvent = { type: "agent.tool_call", toolUseId: "t", toolName: "Bash", input: {}, raw: null };
const claudeUsage = {
  ...{ input_tokens: 10, output_tokens: 5, cache_read_input_tokens: 100, cache_creation_input_tokens: 7 },
  service_tier: "standard",
};

test("tokens, tool calls and errors of turns add up; a tool call of the turn in flight is shown before its end", () => {
  const meter = new UsageMeter();
  meter.onEvent(called);
  assert.deepEqual(meter.total, { ...noUsage, tool_calls: 1 });
  meter.onEvent(ended({ usage: claudeUsage }));
  meter.onEvent(called);
  meter.onEvent(called);
  meter.onEvent(ended({ usage: { inputTokens: 1, outputTokens: 2, cachedReadTokens: 3 }, is_error: true }));
  const { cost_usd, ...usage } = meter.total;
  assert.deepEqual(usage, {
    ...{ turns: 2, errors: 1, tool_calls: 3, input_tokens: 11, output_tokens: 7 },
    ...{ cache_read_tokens: 103, cache_creation_tokens: 7 },
  });
  assert.equal(cost_usd, 0);
  assert.deepEqual([meter.lastTurn.tool_calls, meter.lastTurn.input_tokens], [2, 1]);
});

test("an agent tells the cost of its session so far: a turn's is the difference, and a session that begins anew begins at nothing", () => {
  const meter = new UsageMeter();
  meter.onEvent(ended({ cost_usd: 0.25 }));
  meter.onEvent(ended({ cost_usd: 0.75 }));
  assert.deepEqual([meter.total.cost_usd, meter.lastTurn.cost_usd], [0.75, 0.5]);
  meter.onEvent(ended({}));
  assert.equal(meter.lastTurn.cost_usd, 0);
  const next = new UsageMeter(meter.saved);
  next.onEvent(ended({ cost_usd: 1 }));
  assert.deepEqual([next.total.cost_usd, next.lastTurn.cost_usd, next.total.turns], [1, 0.25, 4]);
  next.onEvent(ended({ cost_usd: 0.125 }));
  assert.deepEqual([next.total.cost_usd, next.lastTurn.cost_usd], [1.125, 0.125]);
});

test("of a session that goes on and of which nothing is known the first turn costs nothing, the others what they cost", () => {
  const meter = new UsageMeter(savedCost(undefined));
  const next = new UsageMeter(meter.saved);
  for (const cost_usd of [5, 5.25]) next.onEvent(ended({ cost_usd }));
  assert.deepEqual([next.total.cost_usd, next.lastTurn.cost_usd], [0.25, 0.25]);
  const known = new UsageMeter(savedCost(5));
  known.onEvent(ended({ cost_usd: 5.5 }));
  assert.equal(known.total.cost_usd, 0.5);
});

test("what is no number counts as nothing, and sums have the figures that are known", () => {
  const meter = new UsageMeter();
  meter.onEvent(ended({ usage: { input_tokens: "many", output_tokens: -3 } }));
  meter.onEvent(ended({ usage: "unknown" }));
  assert.deepEqual(meter.total, { ...noUsage, turns: 2 });
  assert.deepEqual(sumOf([meter.total, meter.saved, { turns: 1, other: 5 }]), { ...noUsage, turns: 5 });
});
