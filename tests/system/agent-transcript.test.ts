/**
 * Goal: P3, S2: whoever watches an agent gets exactly the rest behind the last number that he has, each event once, wherever a crash of
 * the daemon comes; so does the cloud; and what an agent used is counted once. Method: kill -9 of the real daemon at exact points of an
 * agent whose every word the test decides, then in a turn of the real Claude Code.
 */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { agentEnvironment } from "@hl/testkit/agent-env.ts";
import { FakeAgents } from "@hl/testkit/fake-agent.ts";
import type { Message, MessageClient } from "@hl/testkit/message-client.ts";
import { defaultScript } from "@hl/testkit/model-api/default-script.ts";
import { startModelApi } from "@hl/testkit/model-api/model-api.ts";
import { isRunning } from "@hl/testkit/processes.ts";
import { temporaryFolder } from "@hl/testkit/programs.ts";
import { TestDaemon } from "@hl/testkit/system.ts";
import { until } from "@hl/testkit/waiting.ts";
import { ensureAgents } from "../agents/install.ts";
import { agentWorld, inDatabase, refused, type AgentWorld } from "./agent-world.ts";

const startMs = 90_000;
const text = (said: string): object => ({
  ...{ type: "assistant", parent_tool_use_id: null, session_id: "s1" },
  message: { role: "assistant", model: "opus", content: [{ type: "text", text: said }], stop_reason: null },
});
const toolUse = {
  ...{ type: "assistant", parent_tool_use_id: null, session_id: "s1" },
  message: { role: "assistant", content: [{ type: "tool_use", id: "t1", name: "Bash", input: { command: "ls" } }] },
};
const toolResult = (content: string): object => ({
  ...{ type: "user", parent_tool_use_id: null, session_id: "s1" },
  message: { role: "user", content: [{ type: "tool_result", tool_use_id: "t1", content }] },
});

// eslint-disable-next-line @typescript-eslint/no-explicit-any
type Told = Record<string, any> & { readonly seq: number };

interface Watch {
  readonly answer: Message;
  /** Events and gaps, in the order they came, without deltas. */
  readonly told: Told[];
  readonly deltas: Message[];
  seqs(): (number | string)[];
  has(type: string, n?: number): Promise<Told>;
}

async function watch(client: MessageClient, process_id: string, from_seq?: number): Promise<Watch> {
  const told: Told[] = [];
  const deltas: Message[] = [];
  client.listener = ({ method, params }) => {
    if (method === "claude/gap") told.push({ ...params, type: "gap" });
    else if (method === "claude/event") (params.seq === undefined ? deltas : told).push(params);
    return method === "claude/gap" || method === "claude/event";
  };
  const answer = await client.call("claude/subscribe", { process_id, ...(from_seq === undefined ? {} : { from_seq }) });
  return {
    answer,
    told,
    deltas,
    seqs: () => told.map(({ seq, type, from, to }) => (type === "gap" && seq === undefined ? `${from}-${to}` : seq)),
    has: (type, n = 1) => until(`${type} ${n}`, () => told.filter((one) => one.type === type)[n - 1]),
  };
}

const lastOf = ({ told }: Watch): number => told.at(-1)?.seq ?? assert.fail("nothing was told");
const range = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, at) => from + at);

/** What the spool has of an agent's transcript, by `seq` of the agent. */
function shipped(daemon: TestDaemon, process_id: string): Message[] {
  const select = "SELECT body, lane FROM events WHERE event_type LIKE 'agent.%' ORDER BY seq";
  const rows = inDatabase(daemon, (database) => database.prepare(select).all());
  const events = rows.map(({ body, lane }) => ({ ...JSON.parse(body as string), lane }));
  // Those without a number are about its process, not of its transcript.
  return events.filter(({ data }) => data.process_id === process_id && data.seq !== undefined);
}

describe("the transcript of an agent that says what the test wants", () => {
  let agents: FakeAgents;
  const folder = temporaryFolder("hl-fake");
  before(async () => void (agents = await FakeAgents.start()));
  after(async () => {
    await agents[Symbol.asyncDispose]();
    folder[Symbol.dispose]();
  });
  const world = (transcript: object = {}): Promise<AgentWorld> =>
    agentWorld(agents, folder.path, {
      event_streaming: { flush_interval: 0.05 },
      claude_integration: { restart_on_failure: false, transcript },
    });

  test("P3, S2: killed in the middle of a turn, the reader who comes back gets exactly the rest, each once, and the spool has each once", async () => {
    await using w = await world();
    const first = await watch(w.client, w.process_id, 1);
    assert.deepEqual([first.answer.status, first.answer.first_seq], ["idle", 1]);
    w.relay("list the files").catch(() => {});
    await w.agent.prompt(1);
    w.agent.claude.start();
    w.agent.claude.say(text("I look"), toolUse);
    const call = await first.has("tool_call");
    assert.deepEqual(call.data, { tool_use_id: "t1", tool_name: "Bash", input: { command: "ls" } });
    assert.equal((await first.has("turn_started")).data.message, "list the files");
    assert.deepEqual(first.seqs(), range(1, call.seq));
    w.daemon.program.signal("SIGSTOP"); // It lives, has the words in its log, and never comes to record them.
    w.agent.claude.say(toolResult("a.txt"));
    await w.daemon.kill();
    w.agent.claude.say(text("one file"));

    await w.comeBack();
    const second = await watch(w.client, w.process_id, call.seq + 1);
    await w.agent.initialized(2, { session_state: "running" });
    w.agent.claude.finish("done");
    const end = await second.has("turn_completed");
    assert.deepEqual(second.seqs(), range(call.seq + 1, lastOf(second)));
    assert.equal((await second.has("tool_result")).data.content, "a.txt");
    const texts = [...first.told, ...second.told].filter(({ type }) => type === "message").map(({ data }) => data.text);
    assert.deepEqual(texts, ["I look", "one file", "done"]);
    assert.deepEqual([end.data.turn, end.data.is_error, end.data.usage.tool_calls], [1, false, 1]);
    assert.equal(end.relay_id, call.relay_id);

    await w.daemon.kill();
    await w.comeBack();
    await w.agent.initialized(3);
    const whole = await watch(w.client, w.process_id, 1);
    await whole.has("ready", 3); // Each daemon says when the agent has answered it.
    const before = [...first.told, ...second.told];
    assert.deepEqual(whole.told.slice(0, before.length), before, "the same words under the same numbers");
    assert.deepEqual(whole.seqs(), range(1, whole.told.length));

    const types = ["turn_started", "message", "tool_call", "tool_result", "turn_completed"];
    const kept = whole.told.filter(({ type }) => types.includes(type));
    const events = await until("the spool has them", () => {
      const all = shipped(w.daemon, w.process_id);
      return all.length >= kept.length && all;
    });
    assert.deepEqual(
      events.map(({ event_type, lane, data }: Message) => [event_type, lane, data.seq]),
      kept.map(({ type, seq }) => [`agent.${type}`, "session", seq]),
    );
    assert.equal(new Set(events.map(({ event_id }: Message) => event_id)).size, events.length);
  });

  test("an agent that has ended is replayed to its end; what is used is counted once over crashes", async () => {
    await using w = await world();
    const turn = async (n: number): Promise<void> => {
      const answer = w.relay(`turn ${n}`);
      await w.agent.prompt(n);
      w.agent.claude.start();
      w.agent.claude.finish("yes", { usage: { input_tokens: 10, output_tokens: 3 }, total_cost_usd: n * 0.25 });
      await answer;
    };
    const used = async (): Promise<Message> =>
      (await w.client.call("claude/status", { process_id: w.process_id })).usage;
    await turn(1);
    await turn(2);
    const before = await used();
    assert.deepEqual(
      [before.turns, before.errors, before.input_tokens, before.output_tokens, before.cost_usd],
      [2, 0, 20, 6, 0.5],
    );
    await w.daemon.kill();
    await w.comeBack();
    await w.agent.initialized(2);
    assert.deepEqual(await used(), before);
    await turn(3);
    assert.deepEqual([(await used()).turns, (await used()).cost_usd], [3, 0.75]);
    const health = await w.client.call("system/health");
    assert.deepEqual(health.agents.usage, await used());
    w.agent.end();
    await until("it has ended", async () => (await w.listed()).status === "ended");
    await w.daemon.kill();
    await w.comeBack();
    const replay = await watch(w.client, w.process_id, 1);
    const end = await replay.has("ended");
    // Asked now: at the time of the subscription the end may have been on its way to the disk.
    const { status, next_seq } = await w.client.call("claude/status", { process_id: w.process_id });
    assert.deepEqual([end.data.exit_code, status, next_seq], [7, "ended", end.seq + 1]);
    assert.deepEqual(replay.seqs(), range(1, end.seq));
    assert.equal((await w.client.call("system/health")).agents.usage.turns, 3);
  });

  test("X4: what an agent with a secret said and nobody read before it ended is withheld, in transcript and spool, and counted", async () => {
    await using w = await world();
    const secret = "tok-of-the-caller-0123456789";
    const starting = w.client.call("claude/start", {
      workspace_path: w.daemon.workspace,
      environment: { MY_API_TOKEN: secret },
    });
    const agent = await agents.next();
    await agent.initialized(1);
    const { process_id, pid } = await starting;
    const first = await watch(w.client, process_id, 1);
    agent.claude.say(text(`live ${secret}`));
    assert.equal((await first.has("message")).data.text, "live [redacted:MY_API_TOKEN]");
    w.daemon.program.signal("SIGSTOP");
    agent.claude.say({ ...text(`unseen ${secret}`), session_id: secret });
    await agent.write(`garbage ${secret}\n`);
    agent.end();
    await w.daemon.kill();
    await until("the agent to have ended", () => !isRunning(pid)); // Of one that lives its environment would be read again.
    await w.comeBack();
    const rest = await watch(w.client, process_id, lastOf(first) + 1);
    await rest.has("ended");
    assert.deepEqual(
      rest.told.map(({ type, data }) => [type, data]),
      [
        ["message", { text: "[withheld]", thinking: "[withheld]", withheld: true }],
        ["log", { stream: "stdout", text: "[withheld]", withheld: true }],
        ["ended", { exit_code: 7 }],
      ],
    );
    const all = inDatabase(w.daemon, (database) => [
      database.prepare("SELECT body FROM agent_events").all(),
      database.prepare("SELECT body FROM events").all(),
    ]);
    assert.ok(!JSON.stringify(all).includes(secret));
  });

  test("a large tool result is cut with a count, and what is over the limit of an agent is told as a gap", async () => {
    await using w = await world({ max_bytes: 65_536, max_event_bytes: 8_192 });
    const live = await watch(w.client, w.process_id, 1);
    for (let at = 0; at < 12; at += 1) w.agent.claude.say(toolResult(`${at} ${"x".repeat(1_000_000)}`));
    const last = await live.has("tool_result", 12);
    assert.ok(last.omitted_bytes > 990_000 && last.data.content.startsWith("11 xxx"));
    assert.match(last.data.content, /\[99\d{4} more characters\]$/);
    const { first_seq } = await until("the oldest went", async () => {
      const status = await w.client.call("claude/status", { process_id: w.process_id });
      return status.first_seq > 1 && status;
    });
    const late = await watch(w.client, w.process_id, 1);
    await until("it has all", () => late.told.at(-1)?.seq === last.seq);
    const [gap, ...rest] = late.seqs();
    const from = last.seq + 1 - rest.length; // More may have gone since it was asked.
    assert.equal(gap, `1-${from - 1}`);
    assert.deepEqual(rest, range(from, last.seq));
    assert.ok(from >= first_seq && rest.length > 0);
  });

  test("bad input: an unknown agent, a number that is not there yet, a transport without notifications", async () => {
    await using w = await world();
    await refused(w.client.call("claude/subscribe", { process_id: "nobody" }), 1202);
    await refused(w.client.call("claude/status", { process_id: "nobody" }), 1202);
    await refused(w.client.call("claude/subscribe", { process_id: w.process_id, from_seq: 0 }), -32602);
    const ahead = await refused(w.client.call("claude/subscribe", { process_id: w.process_id, from_seq: 99 }), -32602);
    assert.match(ahead.message, /nothing behind 99; the next event of this agent is \d/);
    const status = await w.client.call("claude/status", { process_id: w.process_id });
    assert.deepEqual(
      [status.status, status.relays_waiting, status.approvals_open, status.usage.turns, status.first_seq],
      ["idle", 0, 0, 0, 1],
    );
  });
});

test("P3: killed in a turn of the real Claude Code: the reader gets the rest, each once, and its tokens and cost are counted once", async () => {
  await using model = await startModelApi();
  const { claude } = await ensureAgents();
  const environment = agentEnvironment(model.url);
  // The request to the model outlives the daemon, so it does not go through it.
  const settings = { start_timeout_seconds: 60, stdio_timeout: 60, key_proxy: false };
  await using daemon = await TestDaemon.start({
    config: { claude_integration: { binary_path: claude, environment, ...settings } },
  });
  using first = await daemon.connect();
  const { process_id } = await first.call("claude/start", { workspace_path: daemon.workspace }, startMs);
  const before = await watch(first, process_id, 1);
  await first.call("claude/relay", { process_id, message: "one" }, startMs);
  await before.has("turn_completed");
  assert.ok(before.deltas.length > 0);
  const calls = model.calls;
  const held = Promise.withResolvers<undefined>();
  model.setScript(async (request) => {
    await held.promise;
    return defaultScript(request);
  });
  const relay = { process_id, message: "two", relay_id: "3b241101-e2bb-4255-8caf-4136c566a962" };
  first.call("claude/relay", relay, startMs).catch(() => {});
  await model.request(calls + 1);
  await before.has("turn_started", 2);
  await daemon.kill();
  held.resolve(undefined); // The answer comes while no daemon lives.
  await daemon.restart();
  using second = await daemon.connect();
  const behind = lastOf(before);
  const rest = await watch(second, process_id, behind + 1);
  assert.equal((await second.call("claude/relay", relay, startMs)).response.text, "echo: two");
  const end = await rest.has("turn_completed");
  assert.deepEqual([...before.seqs(), ...rest.seqs()], range(1, lastOf(rest)));
  const told = [...before.told, ...rest.told];
  const texts = told.filter(({ type }) => type === "message").map(({ data }) => data.text);
  assert.deepEqual(texts, ["echo: one", "echo: two"]);
  const [one = assert.fail()] = told.filter(({ type }) => type === "turn_completed");
  // The mode is known again when the agent has answered this daemon, which may come behind the turn.
  const { usage } = await until("model and mode", async () => {
    const status = await second.call("claude/status", { process_id });
    return status.model !== undefined && status.permission_mode !== undefined && status;
  });
  for (const name of ["input_tokens", "output_tokens", "cache_read_tokens"])
    assert.equal(usage[name], Number(one.data.usage[name]) + Number(end.data.usage[name]), name);
  assert.ok(Math.abs(usage.cost_usd - one.data.cost_usd - end.data.cost_usd) < 1e-9);
  assert.deepEqual([usage.turns, usage.errors], [2, 0]);
  // The model's stub says the same numbers for each request, so two turns cost about the same; twice as much is a sum that was taken for a turn.
  const costs = `${one.data.cost_usd} then ${end.data.cost_usd}`;
  assert.ok(end.data.cost_usd < one.data.cost_usd * 1.5 && end.data.cost_usd > one.data.cost_usd * 0.5, costs);
  assert.ok(end.data.usage.output_tokens < one.data.usage.output_tokens * 1.5);

  model.setScript(defaultScript);
  const big = await second.call("claude/relay", { process_id, message: "!big 5" }, startMs);
  assert.ok(big.response.text.length > 5_000_000);
  const answer = await until("the answer", () => rest.told.find(({ omitted_bytes }) => omitted_bytes > 4_900_000));
  assert.equal(answer.type, "message");
  assert.ok(Buffer.byteLength(JSON.stringify(answer.data)) <= 65_536);
  const { session_id, usage: all } = await second.call("claude/status", { process_id });
  await second.call("claude/stop", { process_id });
  await rest.has("ended");

  const resumed = await second.call("claude/start", { workspace_path: daemon.workspace, resume: session_id }, startMs);
  await second.call("claude/relay", { process_id: resumed.process_id, message: "three" }, startMs);
  const next = (await second.call("claude/status", { process_id: resumed.process_id })).usage;
  assert.ok(next.cost_usd > 0 && next.cost_usd < all.cost_usd, "what the session has cost before is counted there");
  await second.call("claude/stop", { process_id: resumed.process_id });
});
