/**
 * Goal: who uses hl-cloud watches an agent as somebody in the VM does: lists it, reads its status, gets its transcript from any number
 * on, is told when the stream is cut, and goes on exactly where it was. Method: the real cloud and daemon, over the operators' WebSocket;
 * the daemon is killed in a turn; the agent says what the test wants.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { FakeAgents } from "@hl/testkit/fake-agent.ts";
import type { Message, MessageClient } from "@hl/testkit/message-client.ts";
import { temporaryFolder } from "@hl/testkit/programs.ts";
import { startSystem } from "@hl/testkit/system.ts";
import { until } from "@hl/testkit/waiting.ts";

const range = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, at) => from + at);
const text = (said: string): object => ({
  ...{ type: "assistant", parent_tool_use_id: null, session_id: "s1" },
  message: { role: "assistant", content: [{ type: "text", text: said }], stop_reason: null },
});
const delta = {
  ...{ type: "stream_event", session_id: "s1", parent_tool_use_id: null },
  event: { type: "content_block_delta", delta: { type: "text_delta", text: "…" } },
};

test("P3, S2: through the cloud: list, status, replay, deltas, a crash of the daemon, and each event in the cloud once", async () => {
  await using agents = await FakeAgents.start();
  using folder = temporaryFolder("hl-fake");
  await using system = await startSystem({ config: { claude_integration: agents.config(folder.path) } });
  const { operator, daemon } = system;
  const starting = operator.call("claude/start", { workspace_path: daemon.workspace });
  const agent = await agents.next();
  await agent.initialized(1);
  const { process_id } = await starting;

  const watch = async (from_seq: number): Promise<{ client: MessageClient; told: Message[] }> => {
    const client = await operator.connect();
    const told: Message[] = [];
    client.listener = ({ method, params }) => {
      if (method === "claude/event" || method === "claude/gap") told.push(params);
      return method === "claude/event" || method === "claude/gap";
    };
    await client.call("claude/subscribe", { process_id, from_seq });
    return { client, told };
  };
  const has = (told: Message[], type: string): Promise<Message> =>
    until(type, () => told.find((one) => one.type === type));
  const kept = (told: Message[]): Message[] => told.filter(({ seq }) => seq !== undefined);

  const first = await watch(1);
  using _first = first.client;
  operator.call("claude/relay", { process_id, message: "hello" }).catch(() => {});
  await agent.prompt(1);
  agent.claude.start();
  const running = { type: "system", subtype: "session_state_changed", state: "running", session_id: "s1" };
  agent.claude.say(running, delta, text("I look"));
  await has(first.told, "delta");
  const seq = Number((await has(first.told, "message")).seq);
  const { processes } = await operator.call("claude/list");
  assert.deepEqual([processes[0].process_id, processes[0].status], [process_id, "running"]);
  const status = await operator.call("claude/status", { process_id });
  assert.deepEqual([status.next_seq, status.first_seq, status.relay_id !== undefined], [seq + 1, 1, true]);

  await daemon.kill();
  const closed = await first.client.next(({ method }) => method === "stream/closed");
  assert.equal(closed.params.reason, "vm_disconnected");
  agent.claude.say(text("meanwhile"));
  await daemon.restart();
  await operator.online();
  const second = await watch(seq + 1);
  using _second = second.client;
  await agent.initialized(2, { session_state: "running" });
  agent.claude.finish("done");
  const end = await has(second.told, "turn_completed");
  const all = [...kept(first.told), ...kept(second.told)];
  assert.deepEqual(
    all.map((one) => one.seq),
    range(1, Number(all.at(-1).seq)),
  );
  const texts = all.filter(({ type }) => type === "message").map(({ data }) => data.text);
  assert.deepEqual(texts, ["I look", "meanwhile", "done"]);
  await operator.event(({ data, event_type }) => event_type === "agent.turn_completed" && data.seq === end.seq);
  const types = ["turn_started", "message", "turn_completed"];
  assert.deepEqual(
    (await operator.events())
      .filter(
        ({ event_type, data }) =>
          event_type.startsWith("agent.") && data.process_id === process_id && data.seq !== undefined,
      )
      .map(({ event_type, data }) => [event_type, data.seq]),
    all.filter(({ type }) => types.includes(type)).map((one) => [`agent.${one.type}`, one.seq]),
  );
});
