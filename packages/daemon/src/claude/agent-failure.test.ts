/** Goal: callers are told by the code whether the agent has gone, is late, or is there and refuses. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { HlError } from "@hl/protocol/errors.ts";
import { AgentFailure, type AgentFailureKind } from "./agent.ts";
import { callersError } from "./agent-failure.ts";

test("each failure has its code; an agent that refuses has not ended", () => {
  const codes: Record<AgentFailureKind, number> = {
    ...{ timeout: 1203, exited: 1204, busy: 1205, control_refused: 1207 },
    ...{ invalid_message: -32602, cancelled: -32800, not_recorded: -32603, outcome_unknown: 1705 },
  };
  for (const [kind, code] of Object.entries(codes)) {
    const error = callersError(new AgentFailure(kind as AgentFailureKind, "why", { sent: true }), { process_id: "a" });
    assert.ok(error instanceof HlError);
    assert.deepEqual([kind, error.code, error.facts], [kind, code, { process_id: "a", sent: true }]);
  }
  const other = new Error("of another kind");
  assert.equal(callersError(other, {}), other);
});
