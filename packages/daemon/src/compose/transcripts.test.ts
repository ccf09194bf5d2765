/**
 * Goal: S1, S2: what an agent says is in its transcript and, where its type is selected, in the spool, each once over two lives of the
 * daemon; a spool without room costs the transcript nothing. Method: the real events and one database under two lives; time by hand.
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { defaultConfig } from "@hl/config/load.ts";
import { silentLogger } from "@hl/core/logger.ts";
import { ManualClock } from "@hl/testkit/manual-clock.ts";
import { temporaryFolder } from "@hl/testkit/programs.ts";
import { until } from "@hl/testkit/waiting.ts";
import type { AgentEvent } from "../claude/agent.ts";
import { AgentFacts } from "../claude/agent-facts.ts";
import { Events } from "../events/events.ts";
import { Redactor } from "../redaction/redactor.ts";
import { Secrets } from "../redaction/secrets.ts";
import { AgentRecords } from "../store/agent-records.ts";
import { Database } from "../store/database.ts";
import { EventSpool } from "../store/event-spool.ts";
import { TranscriptRecords } from "../store/transcript-records.ts";
import { LiveConfig } from "./live-config.ts";
import { composeTranscripts, type ComposedTranscripts } from "./transcripts.ts";

interface World extends Disposable {
  readonly database: Database;
  readonly facts: AgentFacts;
  readonly errors: unknown[];
  life(queueBytesMax?: number): ComposedTranscripts;
  kept(): [seq: number, type: string][];
  spooled(): { id: string; type: string; lane: string; seq: number }[];
}

function world(): World {
  const stack = new DisposableStack();
  const folder = stack.use(temporaryFolder("hl-transcripts"));
  const database = stack.use(new Database(join(folder.path, "daemon.db")));
  const clock = new ManualClock();
  const secrets = new Secrets(clock);
  secrets.hold("a", { API_KEY: "hunter2-hunter2" });
  const redactor = new Redactor(secrets);
  const spool = new EventSpool(database, () => 0);
  const config = defaultConfig();
  const errors: unknown[] = [];
  const onStoreError = (error: unknown): void => void errors.push(error);
  const facts = new AgentFacts(
    {
      ...{ processId: "a", sessionId: "s", workspacePath: "/w", protocol: "stream-json", startedMs: 0, readyMs: 1 },
      ...{
        pid: 1,
        agentVersion: "1",
        turns: 0,
        life: 0,
        attempts: 0,
        restartAtMs: undefined,
        launch: undefined,
        logPosition: 0,
        endedMs: undefined,
        exitCode: undefined,
        usage: {},
      },
    },
    new AgentRecords(database),
    silentLogger,
  );
  const life: World["life"] = (queueBytesMax = 1_000_000) => {
    const events = new Events({
      ...{ spool, clock, queueEventsMax: 1_000, queueBytesMax, eventBytesMax: 100_000, onStoreError },
      emittedTypes: config.daemon.event_streaming.event_types,
      redaction: redactor,
    });
    return composeTranscripts({ live: new LiveConfig(config), clock, database, events, redactor, onStoreError });
  };
  return {
    ...{ database, facts, errors, life },
    kept: () =>
      new TranscriptRecords(database)
        .read("a", 0, 1_000, 1_000)
        .map(({ seq, item }) => [seq, (item as { type: string }).type]),
    spooled: () =>
      spool.after(0, 1_000).map(({ type, lane, body }) => {
        const { event_id, data } = JSON.parse(body) as { event_id: string; data: { seq: number } };
        return { id: event_id, type, lane, seq: data.seq };
      }),
    [Symbol.dispose]: () => stack.dispose(),
  };
}

const message = (text: string): AgentEvent => ({ type: "agent.message", text, thinking: "", raw: null });
const status: AgentEvent = { type: "agent.status", state: "running", raw: null };
const at = (position: number, past = false) => ({ runId: "a", position, past, areSecretsKnown: true });

test("S1: an event and its copy for the cloud are told once over two lives, and so is an end that is found again", async () => {
  using w = world();
  const first = w.life();
  first.onAgentEvent(w.facts, status, at(10));
  first.onAgentEvent(w.facts, message("the key is hunter2-hunter2"), at(20));
  first.onAgentEnd(w.facts);
  await until("it is kept", () => w.kept().length === 3);
  const second = w.life();
  second.onAgentEvent(w.facts, status, at(10, true));
  second.onAgentEvent(w.facts, message("the key is hunter2-hunter2"), at(20, true));
  second.onAgentEnd(w.facts);
  second.transcripts.of("a").add({ type: "mark", sessionId: "s", data: {} }, { runId: "b", position: 1, past: false });
  await until("it is kept", () => w.kept().some(([, type]) => type === "mark"));
  assert.deepEqual(w.kept(), [
    [1, "status"],
    [2, "message"],
    [3, "ended"],
    [4, "mark"],
  ]);
  await until("it is in the spool", () => w.spooled().length > 0);
  assert.deepEqual(w.spooled(), [{ id: "a:a.20.0", type: "agent.message", lane: "session", seq: 2 }]);
  const rows = w.database.prepare("SELECT body FROM agent_events UNION ALL SELECT body FROM events").all();
  assert.ok(!JSON.stringify(rows).includes("hunter2"), "X4");
  assert.deepEqual(w.errors, []);
});

test("S2: what the spool has no room for is in the transcript all the same", async () => {
  using w = world();
  const life = w.life(20_000);
  for (let line = 1; line <= 10; line += 1) life.onAgentEvent(w.facts, message("x".repeat(3_000)), at(line));
  await until("all are kept", () => w.kept().length === 10);
  const shipped = (): number => w.spooled().filter(({ type }) => type === "agent.message").length;
  await until("some are in the spool", () => shipped() > 0); // What is not durable yet is not shown.
  assert.ok(shipped() < 10);
  assert.deepEqual(
    w.kept().map(([seq]) => seq),
    Array.from({ length: 10 }, (_, index) => index + 1),
  );
});

test("S4: a database that cannot be read at the moment is an error that is told, not the end of the agent", () => {
  const w = world();
  const life = w.life();
  w[Symbol.dispose]();
  life.onAgentEvent(w.facts, message("nobody keeps it"), at(1));
  assert.equal(w.errors.length, 1);
});
