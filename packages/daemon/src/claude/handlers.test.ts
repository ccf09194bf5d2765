/** Goal: P7: an agent whose id nobody gets does not stay. Method: the handler on agents of the test's, which are ready when it says so. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { MethodCall } from "@hl/protocol/method.ts";
import { ManualClock } from "@hl/testkit/manual-clock.ts";
import type { Agents } from "./agents.ts";
import { claudeHandlers } from "./handlers.ts";

for (const leaves of [true, false]) {
  test(`claude/start whose caller ${leaves ? "has left: the agent is stopped" : "waits: the agent stays"}`, async () => {
    const caller = new AbortController();
    const ready = Promise.withResolvers<undefined>();
    let stops = 0;
    const agent = { facts: { processId: "a" }, stop: async () => void (stops += 1) };
    const agents = { start: async () => ready.promise.then(() => agent) } as unknown as Agents;
    const handlers = claudeHandlers({
      ...{ agents, clock: new ManualClock(), relayTimeoutMs: 1_000, approvalsOpen: () => 0 },
      transcriptOf: () => ({ firstSeq: 1, nextSeq: 1 }),
    });
    const answer = handlers["claude/start"]({ workspace_path: "/w" }, { signal: caller.signal } as MethodCall);
    const outcome = answer.then(
      ({ process_id }) => process_id,
      (error: unknown) => (error as { readonly type: string }).type,
    );
    if (leaves) caller.abort(new Error("the connection is closed"));
    ready.resolve(undefined);
    assert.deepEqual([await outcome, stops], leaves ? ["claude_unavailable", 1] : ["a", 0]);
  });
}
