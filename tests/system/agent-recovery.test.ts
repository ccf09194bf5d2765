/**
 * Goal: P3, A2: a crash of the daemon loses no conversation and no turn, and runs none twice, wherever it comes. Method: kill -9 of the
 * real daemon at exact points; its agent is a program whose every word the test decides. tests/system/agent-restart.test.ts does the
 * same with the real Claude Code.
 */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { FakeAgents, fakeAgentExitCode } from "@hl/testkit/fake-agent.ts";
import type { Message } from "@hl/testkit/message-client.ts";
import { isRunning, noProcessOf } from "@hl/testkit/processes.ts";
import { temporaryFolder } from "@hl/testkit/programs.ts";
import { TestDaemon } from "@hl/testkit/system.ts";
import { until } from "@hl/testkit/waiting.ts";
import { agentWorld, eventsOf, inDatabase, pendingApproval, refused, type AgentWorld } from "./agent-world.ts";

describe("agent recovery", () => {
  let agents: FakeAgents;
  const folder = temporaryFolder("hl-fake");
  before(async () => void (agents = await FakeAgents.start()));
  after(async () => {
    await agents[Symbol.asyncDispose]();
    folder[Symbol.dispose]();
  });

  const world = (more: Readonly<Record<string, object>> = {}): Promise<AgentWorld> =>
    agentWorld(agents, folder.path, more);
  const runTurn = async (w: AgentWorld, n: number, text: string): Promise<Message> => {
    const answer = w.relay(text);
    await w.agent.prompt(n);
    w.agent.claude.start();
    w.agent.claude.finish(`echo: ${text}`);
    return answer;
  };

  test("P3: killed at idle, the next daemon has the same agent, and the conversation goes on", async () => {
    await using w = await world();
    await runTurn(w, 1, "one");
    const before = await w.listed();
    await w.daemon.kill();
    await w.comeBack();
    assert.deepEqual(await w.listed(), before);
    assert.deepEqual([before.status, before.turns, before.session_id], ["idle", 1, "s1"]);
    const next = w.relay("two");
    await w.agent.initialized(2);
    await w.agent.prompt(2);
    w.agent.claude.finish("echo: two");
    assert.equal((await next).text, "echo: two");
    assert.equal((await w.listed()).turns, 2);
    assert.equal(
      (await until("both turns", () => w.events("agent.turn_completed").length === 2)) &&
        w.events("process_start").length,
      1,
    );
  });

  test("P3, A2: killed in a turn, the relay id gets that turn's result, and nothing is sent again", async () => {
    await using w = await world();
    const relayId = randomUUID();
    w.relay("long", relayId).catch(() => {});
    await w.agent.prompt(1);
    w.agent.claude.start();
    await w.daemon.kill();
    await w.comeBack();
    assert.equal((await w.listed()).status, "running");
    const again = w.relay("long", relayId);
    const queued = w.relay("behind it");
    await w.agent.initialized(2, { session_state: "running" });
    w.agent.claude.finish("the real result");
    assert.equal((await again).text, "the real result");
    await w.agent.prompt(2);
    w.agent.claude.finish("behind");
    assert.equal((await queued).text, "behind");
    assert.equal(w.agent.claude.prompts.length, 2);
    const third = await w.relay("long", relayId);
    assert.deepEqual([third.text, third.duplicate], ["the real result", true]);
    const other = await refused(w.relay("another message", relayId), -32602);
    assert.match(other.message, /used before with another message/);
  });

  test("P3: a result that came while no daemon lived is told once, also to who asks for it again", async () => {
    await using w = await world();
    const relayId = randomUUID();
    w.relay("x", relayId).catch(() => {});
    await w.agent.prompt(1);
    w.agent.claude.start();
    await w.daemon.kill();
    w.agent.claude.finish("came meanwhile");
    await w.comeBack();
    assert.equal((await w.relay("x", relayId)).text, "came meanwhile");
    assert.equal((await w.listed()).turns, 1);
    await w.daemon.kill();
    await w.comeBack();
    assert.equal((await w.relay("x", relayId)).text, "came meanwhile");
    assert.deepEqual(
      w.events("agent.turn_completed").map(({ event_id, data }) => [event_id, data.relay_id]),
      [[`${w.process_id}:turn-1`, relayId]],
    );
    assert.equal(w.agent.claude.prompts.length, 1);
  });

  test("P3: a result that was written when the daemon could not record it any more is not lost and not told twice", async () => {
    await using w = await world();
    const relayId = randomUUID();
    w.relay("x", relayId).catch(() => {});
    await w.agent.prompt(1);
    w.daemon.program.signal("SIGSTOP"); // It lives, has the result in its log, and never comes to record it.
    w.agent.claude.finish("in the log");
    await w.daemon.kill();
    await w.comeBack();
    assert.equal((await w.relay("x", relayId)).text, "in the log");
    await until("the event", () => w.events("agent.turn_completed").length === 1);
    assert.equal(w.agent.claude.prompts.length, 1);
  });

  test("A2: a relay that waited behind a turn was never sent; with its relay id it runs now, once", async () => {
    await using w = await world();
    const [first, second] = [randomUUID(), randomUUID()];
    w.relay("one", first).catch(() => {});
    await w.agent.prompt(1);
    w.relay("two", second).catch(() => {});
    await w.client.call("system/ping"); // It is in the queue by now.
    await w.daemon.kill();
    await w.comeBack();
    await w.agent.initialized(2, { session_state: "running" });
    const again = w.relay("two", second);
    w.agent.claude.finish("1");
    assert.equal((await w.agent.prompt(2)).message.content, "two");
    w.agent.claude.finish("2");
    assert.equal((await again).text, "2");
    assert.equal((await w.relay("one", first)).text, "1");
  });

  test("A2: a turn that was recorded and whose line the shim never got is not lost: its relay id runs it, once", async () => {
    await using w = await world();
    await runTurn(w, 1, "one");
    await w.daemon.kill();
    const relayId = randomUUID();
    inDatabase(w.daemon, (database) =>
      database
        .prepare("INSERT INTO agent_turns VALUES (?, ?, ?, 2, 'hash', 100, NULL, 1000000, 0, NULL, NULL, 0, 0)")
        .run(w.process_id, relayId, relayId),
    );
    await w.comeBack();
    assert.equal((await w.listed()).status, "idle");
    await w.agent.initialized(2);
    const answer = w.relay("two", relayId);
    await w.agent.prompt(2);
    w.agent.claude.finish("ran now");
    assert.equal((await answer).text, "ran now");
    assert.equal(w.agent.claude.prompts.length, 2);
  });

  test("P3: a long line that was cut in the agent's input by the crash arrives whole, once", async () => {
    await using w = await world();
    const text = "long ".repeat(700_000);
    const relayId = randomUUID();
    const readers = await until("its cats", () => childrenOf(w.pid).length === 2 && childrenOf(w.pid));
    for (const reader of readers) process.kill(reader, "SIGSTOP"); // The pipe takes 64 KiB, the shim 1 MiB, and the rest is with the daemon.
    w.relay(text, relayId).catch(() => {});
    await until("the turn's record", () =>
      inDatabase(w.daemon, (database) => database.prepare("SELECT 1 FROM agent_turns").get()),
    );
    // What fits into the pipe has gone there, so the shim has a part of the line; the rest cannot have left the daemon yet.
    const shim = Number(/^PPid:\t(\d+)$/m.exec(readFileSync(`/proc/${w.pid}/status`, "utf8"))?.[1]);
    const written = (): number => Number(/^wchar: (\d+)$/m.exec(readFileSync(`/proc/${shim}/io`, "utf8"))?.[1]);
    await until("the pipe is full", () => written() >= 65_536);
    await w.daemon.kill();
    await w.comeBack();
    for (const reader of readers) process.kill(reader, "SIGCONT");
    const again = w.relay(text, relayId); // Joins the turn.
    await w.agent.initialized(2, { session_state: "running" });
    assert.equal((await w.agent.prompt(1)).message.content, text);
    w.agent.claude.finish("read it all");
    assert.equal((await again).text, "read it all");
    assert.equal(w.agent.claude.prompts.length, 1);
  });

  test("A3: a permission that was open at the crash is decided, once, and one that was answered is not answered again", async () => {
    await using w = await world();
    const relayId = randomUUID();
    w.relay("x", relayId).catch(() => {});
    await w.agent.prompt(1);
    w.agent.claude.start();
    w.agent.claude.ask("answered");
    const deny = async (): Promise<void> => {
      const { approval_id } = await pendingApproval(w.client, w.process_id);
      await w.client.call("approval/decide", { approval_id, decision: "deny" });
    };
    await deny();
    await w.agent.got((message) => message.response?.request_id === "answered");
    await w.daemon.kill();
    w.agent.claude.ask("open");
    await w.comeBack();
    const request = { subtype: "can_use_tool", tool_name: "Bash", input: {} };
    const pending_permission_requests = [{ request_id: "open", request }];
    await w.agent.initialized(2, { session_state: "requires_action" }, { pending_permission_requests });
    await deny();
    const decision = await w.agent.got((message) => message.response?.request_id === "open");
    assert.equal(decision.response.response.behavior, "deny");
    w.agent.claude.finish("denied");
    assert.equal((await w.relay("x", relayId)).text, "denied");
    assert.deepEqual(
      w.agent.claude.decisions.map(({ request_id }) => request_id),
      ["answered", "open"],
    );
  });

  test("P3: an agent that was just starting becomes ready under the next daemon, and its start is told once", async () => {
    await using daemon = await TestDaemon.start({ config: { claude_integration: agents.config(folder.path) } });
    using client = await daemon.connect();
    client.call("claude/start", { workspace_path: daemon.workspace }).catch(() => {});
    const agent = await agents.next();
    await agent.got(({ request }) => request?.subtype === "initialize");
    await daemon.kill();
    await daemon.restart();
    using again = await daemon.connect();
    const status = async (): Promise<string> => (await again.call("claude/list")).processes[0].status;
    assert.equal(await status(), "starting");
    await agent.initialized(2);
    await until("it is ready", async () => (await status()) === "idle");
    await until("the event", () => eventsOf(daemon, "process_start").length === 1);
    agent.destroy();
  });

  test("P3, P2: an agent that ended while no daemon lived: its end is told once, listed, and answered to stop and relay", async () => {
    await using w = await world({ claude_integration: { restart_on_failure: false } });
    const relayId = randomUUID();
    w.relay("x", relayId).catch(() => {});
    await w.agent.prompt(1);
    w.agent.claude.start();
    await w.daemon.kill();
    w.agent.end();
    await until("the agent has ended", () => !isRunning(w.pid));
    for (let restarts = 0; restarts < 2; restarts += 1) {
      await w.comeBack();
      await until("its end", async () => (await w.listed()).status === "ended");
      assert.equal((await w.listed()).exit_code, fakeAgentExitCode);
      const stopped = await w.client.call("claude/stop", { process_id: w.process_id });
      assert.deepEqual([stopped.status, stopped.exit_code], ["stopped", fakeAgentExitCode]);
      const error = await refused(w.relay("x", relayId), 1204);
      assert.match(error.message, /ended before it answered; it is not sent again/);
      await until("the event", () => w.events("process_end").length === 1);
    }
    await noProcessOf(w.daemon.workspace);
  });
});

function childrenOf(pid: number): number[] {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ").map(Number);
}
