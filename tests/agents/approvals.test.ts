/**
 * Goal: A3: what the real Claude Code asks reaches a person, and the decision reaches it, whatever happens in between; the rules of the
 * daemon see every tool call. Method: the pinned program under the real daemon, the model's API stubbed; decisions over the daemon's
 * socket; kill -9 of either side while a request is open.
 */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { after, before, describe, test } from "node:test";
import { agentEnvironment } from "@hl/testkit/agent-env.ts";
import { CallFailed, type Message, type MessageClient } from "@hl/testkit/message-client.ts";
import { startModelApi, type ModelApi } from "@hl/testkit/model-api/model-api.ts";
import { TestDaemon } from "@hl/testkit/system.ts";
import { until } from "@hl/testkit/waiting.ts";
import { ensureAgents } from "./install.ts";

const patienceMs = 90_000;

describe("approvals with the real Claude Code", () => {
  let model: ModelApi;
  let world: World;
  before(async () => {
    model = await startModelApi();
    world = await World.start(model, {
      rules: [
        { tool: "Bash", pattern: "touch by-rule*", decision: "allow" },
        { tool: "Bash", pattern: "touch never*", decision: "deny" },
        { tool: "Bash", pattern: "echo ask *", decision: "ask" },
        { tool: "*", path: "/tmp/hl-none/../hl-secret", decision: "deny" },
        { tool: "*", pattern: "*/locked/*", decision: "deny" },
      ],
    });
  });
  after(async () => {
    await world[Symbol.asyncDispose]();
    await model[Symbol.asyncDispose]();
  });

  test("allowed, the tool runs; denied, the model is told why in our words; events and audit say who", async () => {
    const allowed = world.relay("!bash touch allowed.txt");
    const asked = await world.pending();
    assert.deepEqual([asked.tool_name, asked.input.command, asked.state], ["Bash", "touch allowed.txt", "pending"]);
    const { approval_id, input_hash } = asked;
    const decided = await world.decide(asked, "allow", { input_hash });
    assert.deepEqual([decided.state, decided.decided_by.via], ["approved", "socket"]);
    assert.match((await allowed).text, /^tool result/);
    assert.ok(world.has("allowed.txt"));

    const denied = world.relay("!bash touch denied.txt");
    await world.decide(await world.pending(), "deny", { reason: "not on a Friday" });
    assert.equal((await denied).text, "tool error: not on a Friday");
    assert.ok(!world.has("denied.txt"));

    const about = (type: string): Message[] =>
      world.events(type).filter(({ data }) => data.approval_id === approval_id);
    const [requested] = about("approval.requested");
    assert.deepEqual([requested.data.tool_name, requested.data.input], ["Bash", undefined], "X4: no input in events");
    assert.equal(about("approval.decided")[0].data.decided_by.subject, "local-token");
    assert.deepEqual([about("audit")[0].data.caller, about("audit")[0].data.decision], ["local-token", "allow"]);
  });

  test("of two decisions the first counts; an edited input is what runs", async () => {
    const answer = world.relay("!bash touch original.txt");
    const asked = await world.pending();
    await refused(world.decide(asked, "allow", { input_hash: "0".repeat(64) }), 1603);
    await world.decide(asked, "allow", { updated_input: { ...asked.input, command: "touch edited.txt" } });
    const { data } = await refused(world.decide(asked, "deny"), 1602);
    assert.deepEqual([data.decision, data.decided_by.subject], ["allow", "local-token"]);
    await answer;
    assert.deepEqual([world.has("original.txt"), world.has("edited.txt")], [false, true]);
  });

  test("remembered for the session: the same is not asked again", async () => {
    const first = world.relay("!bash touch remembered.txt");
    const asked = await world.pending();
    assert.equal(asked.can_remember, true);
    await world.decide(asked, "allow", { remember: "session" });
    await first;
    assert.match((await world.relay("!bash touch remembered.txt")).text, /^tool result/);
    assert.ok(!existsSync(join(world.daemon.workspace, ".claude")), "nothing is written into the repository");
  });

  test("an interrupt withdraws the request, and a late decision is refused", async () => {
    const answer = world.relay("!bash touch late.txt");
    const asked = await world.pending();
    await world.client.call("claude/interrupt", { process_id: world.processId });
    assert.equal((await answer).error.kind, "interrupted");
    const { data } = await refused(world.decide(asked, "allow"), 1604);
    assert.equal(data.state, "withdrawn");
    assert.ok(!world.has("late.txt"));
  });

  test("rules decide without anybody; what the agent would not ask about is judged too", async () => {
    const { approvals: before } = await world.client.call("approval/list");
    assert.match((await world.relay("!bash touch by-rule.txt")).text, /^tool result/);
    assert.match((await world.relay("!bash touch never.txt")).text, /^tool error: .*Denied by the policy.*rule 2/);
    const read = `!tool Read ${JSON.stringify({ file_path: "/tmp/x/../hl-secret/key" })}`;
    assert.match((await world.relay(read)).text, /^tool error: .*rule 4/, "Claude Code asks nobody for a Read");
    assert.deepEqual([world.has("by-rule.txt"), world.has("never.txt")], [true, false]);
    assert.equal((await world.client.call("approval/list")).approvals.length, before.length, "nobody was asked");
    const rules = world.events("audit").filter(({ data }) => data.kind === "tool_call");
    assert.deepEqual(
      rules.map(({ data }) => [data.tool_name, data.decision, data.rule]),
      [
        ["Bash", "allow", "rule 1"],
        ["Bash", "deny", "rule 2"],
        ["Read", "deny", "rule 4"],
      ],
    );
  });

  test("X2: the rules see the calls of subagents, and hold in every mode that the agent may be started in", async () => {
    const task = { description: "d", prompt: "!bash touch never-sub.txt", subagent_type: "general-purpose" };
    await world.relay(`!tool Task ${JSON.stringify(task)}`);
    const config_overrides = { permission_mode: "acceptEdits" };
    const asked = { workspace_path: world.daemon.workspace, config_overrides };
    const { process_id } = await world.client.call("claude/start", asked, patienceMs);
    const turn = async (message: string): Promise<string> =>
      (await world.client.call("claude/relay", { process_id, message }, patienceMs)).response.text;
    const write = (name: string): string =>
      `!tool Write ${JSON.stringify({ file_path: join(world.daemon.workspace, name), content: "x" })}`;
    assert.match(await turn(write("accepted.txt")), /^tool result/, "this mode asks nobody");
    assert.match(await turn(write("locked/x.txt")), /^tool error: .*rule 5/);
    assert.deepEqual(
      ["never-sub.txt", "accepted.txt", "locked"].map((name) => world.has(name)),
      [false, true, false],
    );
    const denied = world.events("audit").filter(({ data }) => data.kind === "tool_call" && data.decision === "deny");
    assert.deepEqual(
      denied.slice(-2).map(({ data }) => [data.process_id, data.tool_name, data.rule]),
      [
        [world.processId, "Bash", "rule 2"],
        [process_id, "Write", "rule 5"],
      ],
    );
    await world.client.call("claude/stop", { process_id });
  });

  test("a rule makes the agent ask for what it would run unasked", async () => {
    const answer = world.relay("!bash echo ask somebody");
    const asked = await world.pending();
    assert.match(asked.reason, /rule 3/);
    await world.decide(asked, "deny", { reason: "no echo" });
    assert.equal((await answer).text, "tool error: no echo");
    assert.match((await world.relay("!bash echo unasked")).text, /^tool result: unasked/);
  });

  test("a question to a person is answered with an edited input", async () => {
    const options = [
      { label: "blue", description: "b" },
      { label: "red", description: "r" },
    ];
    const questions = [{ question: "Which colour?", header: "Colour", multiSelect: false, options }];
    const answer = world.relay(`!tool AskUserQuestion ${JSON.stringify({ questions })}`);
    const asked = await world.pending();
    assert.equal(asked.requires_user_interaction, true);
    const updated_input = { ...asked.input, answers: { "Which colour?": "blue" } };
    await world.decide(asked, "allow", { updated_input });
    assert.match((await answer).text, /blue/);
  });

  test("kill -9 of the agent while a request is open: it is lost, and nothing is decided any more", async () => {
    const { process_id, pid } = await world.startAgent();
    const answer = world.client.call("claude/relay", { process_id, message: "!bash touch lost.txt" }, patienceMs);
    const failed = refused(answer, 1204);
    const asked = await world.pending(process_id);
    process.kill(pid, "SIGKILL");
    await failed;
    const { data } = await refused(world.decide(asked, "allow"), 1604);
    assert.equal(data.state, "lost");
    assert.ok(!world.has("lost.txt"));
  });

  test("P3: kill -9 of the daemon while a request is open: decided after the restart, under the same id", async () => {
    const relay_id = randomUUID();
    world.relay("!bash touch after-restart.txt", relay_id).catch(() => {});
    const asked = await world.pending();
    await world.daemon.kill();
    await world.comeBack();
    const again = await world.pending();
    assert.deepEqual([again.approval_id, again.expires_at], [asked.approval_id, asked.expires_at]);
    await world.decide(again, "allow");
    assert.match((await world.relay("!bash touch after-restart.txt", relay_id)).text, /^tool result/);
    assert.ok(world.has("after-restart.txt"));
    assert.match((await world.relay("!bash touch never-again.txt")).text, /rule 2/, "the hook is there as before");
  });

  test("A3: nobody answers in time: denied, and the model is told", async () => {
    await using quick = await World.start(model, { timeout_seconds: 1 });
    assert.match((await quick.relay("!bash touch expired.txt")).text, /^tool error: Nobody answered/);
    const { approvals } = await quick.client.call("approval/list");
    assert.deepEqual([approvals[0].state, approvals[0].decision], ["expired", "deny"]);
    assert.ok(!quick.has("expired.txt"));
  });
});

async function refused(call: Promise<unknown>, code: number): Promise<{ data?: Message }> {
  const outcome: unknown = await call.catch((error: unknown) => error);
  assert.ok(outcome instanceof CallFailed, `not refused: ${JSON.stringify(outcome)}`);
  assert.equal(outcome.error.code, code, outcome.message);
  return outcome.error;
}

/** A daemon with one real agent that is ready. */
class World implements AsyncDisposable {
  readonly daemon: TestDaemon;
  client: MessageClient;
  processId = "";

  private constructor(daemon: TestDaemon, client: MessageClient) {
    this.daemon = daemon;
    this.client = client;
  }

  static async start(model: ModelApi, approvals: object): Promise<World> {
    const { claude } = await ensureAgents();
    const claude_integration = {
      binary_path: claude,
      environment: agentEnvironment(model.url),
      start_timeout_seconds: 60,
      stdio_timeout: 60,
      approvals,
    };
    const daemon = await TestDaemon.start({ config: { claude_integration } });
    const world = new World(daemon, await daemon.connect());
    world.processId = (await world.startAgent()).process_id;
    return world;
  }

  startAgent(): Promise<Message> {
    return this.client.call("claude/start", { workspace_path: this.daemon.workspace }, patienceMs);
  }

  async relay(message: string, relay_id: string = randomUUID()): Promise<Message> {
    const asked = { process_id: this.processId, message, relay_id };
    return (await this.client.call("claude/relay", asked, patienceMs)).response;
  }

  /** The one that waits. */
  pending(process_id: string = this.processId): Promise<Message> {
    return until("a permission request", async () => {
      const { approvals } = await this.client.call("approval/list", { state: "pending", process_id });
      assert.ok(approvals.length <= 1);
      return approvals[0];
    });
  }

  decide({ approval_id }: Message, decision: "allow" | "deny", more: object = {}): Promise<Message> {
    return this.client.call("approval/decide", { approval_id, decision, ...more });
  }

  has(name: string): boolean {
    return existsSync(join(this.daemon.workspace, name));
  }

  events(type: string): Message[] {
    const database = new DatabaseSync(join(this.daemon.home, "data/state/daemon.db"), { timeout: 5_000 });
    try {
      const rows = database.prepare("SELECT body FROM events WHERE event_type = ? ORDER BY seq").all(type);
      return rows.map((row) => JSON.parse(row["body"] as string));
    } finally {
      database.close();
    }
  }

  async comeBack(): Promise<void> {
    await this.daemon.restart();
    this.client[Symbol.dispose]();
    this.client = await this.daemon.connect();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.client[Symbol.dispose]();
    await this.daemon[Symbol.asyncDispose]();
  }
}
