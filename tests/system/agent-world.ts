/**
 * A real daemon with one fake agent that is ready, and what tests of its crash ask of both.
 */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import type { FakeAgent, FakeAgents } from "@hl/testkit/fake-agent.ts";
import { CallFailed, type Message, type MessageClient } from "@hl/testkit/message-client.ts";
import { TestDaemon } from "@hl/testkit/system.ts";
import { until } from "@hl/testkit/waiting.ts";

export interface AgentWorld extends AsyncDisposable {
  readonly daemon: TestDaemon;
  readonly agent: FakeAgent;
  readonly process_id: string;
  readonly pid: number;
  client: MessageClient;
  /** The `response` of claude/relay. */
  relay(message: unknown, relay_id?: string): Promise<Message>;
  listed(): Promise<Message>;
  /** The daemon comes back after it was killed. */
  comeBack(): Promise<void>;
  /** The events of a type of this agent, in the daemon's database. */
  events(type: string): Message[];
}

/** Turns are not among the events that a daemon emits by default. */
export const turnEvents = {
  event_types: ["process_start", "process_end", "agent.turn_completed"],
  flush_interval: 0.05,
};

export async function agentWorld(
  agents: FakeAgents,
  folder: string,
  more: Readonly<Record<string, object>> = {},
): Promise<AgentWorld> {
  const { claude_integration = {}, ...rest } = more;
  const claude = { ...agents.config(folder), ...claude_integration };
  const daemon = await TestDaemon.start({
    config: { claude_integration: claude, event_streaming: turnEvents, ...rest },
  });
  const client = await daemon.connect();
  const starting = client.call("claude/start", { workspace_path: daemon.workspace });
  const agent = await agents.next();
  await agent.initialized(1);
  const { process_id, pid } = await starting;
  const self: AgentWorld = {
    daemon,
    agent,
    process_id,
    pid,
    client,
    relay: async (message, relay_id = randomUUID()) =>
      (await self.client.call("claude/relay", { process_id, message, relay_id })).response,
    listed: async () =>
      (await self.client.call("claude/list")).processes.find((one: Message) => one.process_id === process_id),
    comeBack: async () => {
      await daemon.restart();
      self.client[Symbol.dispose]();
      self.client = await daemon.connect();
    },
    events: (type) => eventsOf(daemon, type).filter(({ data }) => data.process_id === process_id),
    [Symbol.asyncDispose]: async () => {
      self.client[Symbol.dispose]();
      agent.destroy();
      await daemon[Symbol.asyncDispose]();
    },
  };
  return self;
}

export function inDatabase<T>(daemon: TestDaemon, work: (database: DatabaseSync) => T): T {
  const database = new DatabaseSync(join(daemon.home, "data/state/daemon.db"), { timeout: 5_000 });
  try {
    return work(database);
  } finally {
    database.close();
  }
}

export function eventsOf(daemon: TestDaemon, type: string): Message[] {
  const select = "SELECT body FROM events WHERE event_type = ? ORDER BY seq";
  const rows = inDatabase(daemon, (database) => database.prepare(select).all(type));
  return rows.map((row) => JSON.parse(row["body"] as string));
}

/** The permission request of the agent that waits for a person. */
export function pendingApproval(client: MessageClient, process_id: string): Promise<Message> {
  return until("a permission request", async () => {
    const { approvals } = await client.call("approval/list", { state: "pending", process_id });
    return approvals[0];
  });
}

export async function refused(call: Promise<unknown>, code: number): Promise<CallFailed["error"]> {
  const outcome: unknown = await call.catch((error: unknown) => error);
  assert.ok(outcome instanceof CallFailed, `not refused: ${JSON.stringify(outcome)}`);
  assert.equal(outcome.error.code, code, outcome.message);
  return outcome.error;
}
