/** Goal: S1, S2, X4: what agents say goes to the cloud once, under ids that tell one from another. Method: a real database; the spool is the test's. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import type { Config } from "@hl/config/load.ts";
import { ManualClock } from "@hl/testkit/manual-clock.ts";
import { temporaryFolder } from "@hl/testkit/programs.ts";
import type { AgentEvent } from "../claude/agent.ts";
import type { AgentFacts } from "../claude/agent-facts.ts";
import type { Events } from "../events/events.ts";
import { Redactor } from "../redaction/redactor.ts";
import { Database } from "../store/database.ts";
import { LiveConfig } from "./live-config.ts";
import { composeTranscripts, type ComposedTranscripts } from "./transcripts.ts";

interface Shipped {
  readonly type: string;
  readonly data: Record<string, unknown>;
  readonly severity: string;
  readonly id: string;
}

interface World extends ComposedTranscripts, Disposable {
  readonly shipped: Shipped[];
}

function world(): World {
  const folder = temporaryFolder("hl-transcripts");
  const database = new Database(join(folder.path, "daemon.db"));
  const shipped: Shipped[] = [];
  const emit = (type: string, data: Shipped["data"], severity: string, id: string): void =>
    void shipped.push({ type, data, severity, id });
  const transcript = { max_bytes: 1_000_000, max_event_bytes: 1_024 };
  const daemon = { claude_integration: { transcript }, event_streaming: { max_event_bytes: 1 << 20 } };
  const composed = composeTranscripts({
    live: new LiveConfig({ daemon } as unknown as Config),
    clock: new ManualClock(),
    database,
    events: { emit } as unknown as Events,
    redactor: new Redactor({ search: () => undefined }),
    onStoreError: (error) => assert.fail(error as Error),
  });
  const close = (): void => {
    database[Symbol.dispose]();
    folder[Symbol.dispose]();
  };
  return { ...composed, shipped, [Symbol.dispose]: close };
}

const agent = (turns: number): AgentFacts =>
  ({ processId: "a", sessionId: "s", turns, usage: { lastTurn: { input_tokens: 5, cost_usd: 1 } } }) as never;

const turnEnd = (denials: number): AgentEvent => {
  const permission_denials = Array.from({ length: denials }, (_, at) => ({ tool_name: "Bash", tool_use_id: `t${at}` }));
  const error = { kind: "other", message: "no" } as const;
  const result = { text: "", is_error: true, error, stop_reason: null, raw: null, permission_denials };
  return { type: "agent.turn_completed", result };
};

test("S1, S2: ends of turns that are too large for an event keep their number, and are told apart", () => {
  using w = world();
  for (const turn of [1, 2])
    w.onAgentEvent(agent(turn), turnEnd(900), { runId: "a", position: turn * 10, past: false, areSecretsKnown: true });
  assert.deepEqual(
    w.shipped.map(({ id, severity, data }) => [id, severity, data["turn"], data["is_error"], data["cost_usd"]]),
    [1, 2].map((turn) => [`a:turn-${turn}`, "warning", turn, true, 1]),
  );
  assert.ok(w.shipped.every(({ data }) => (data["omitted_bytes"] as number) > 10_000));
});

test("X4: of a process whose secrets are not known there is what it did, with figures, and none of its words", () => {
  using w = world();
  const at = { runId: "a", position: 10, past: true, areSecretsKnown: false };
  const raw = "secret";
  w.onAgentEvent(agent(0), { type: "agent.message", text: "secret", thinking: "secret", raw }, at);
  const call = { toolUseId: "secret", toolName: "secret", input: { secret: "secret" }, raw };
  w.onAgentEvent(agent(0), { type: "agent.tool_call", ...call }, at);
  w.onAgentEvent(agent(0), { type: "agent.unknown", raw }, at);
  for (let times = 0; times < 3; times += 1)
    w.onAgentEvent(agent(0), { type: "agent.log", stream: "stdout", text: "secret" }, at);
  w.onAgentEvent(agent(1), turnEnd(1), at);
  assert.ok(!JSON.stringify(w.shipped).includes("secret"));
  assert.deepEqual(w.shipped[0]?.data["text"], "[withheld]");
  const { turn, is_error, error, withheld, seq } = w.shipped.at(-1)?.data ?? {};
  assert.deepEqual([turn, is_error, error, withheld, seq], [1, true, {}, true, 5]);
});
