/**
 * Goal: P1, P3, A1, A2, A3: kill -9 of an agent, and kill -9 of its daemon, while it is idle, streaming, asking, or running a tool, in each
 * of the three protocols: what its caller gets, what the record says, what becomes of the question and of the tool, and that nothing is
 * sent to the model twice. Method: the real programs; the stub of the model's API holds an answer back until the test lets it go, a tool
 * waits at a named pipe. All three agents are killed, or lose their daemon, at once; an agent that was killed is followed by one that
 * resumes its conversation. They ask the model directly, so that nothing but the daemon's own doing is judged; behind the key proxy, which
 * ends with the daemon, an agent asks again by itself: the last test.
 */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, describe, test } from "node:test";
import type { Message } from "@hl/testkit/message-client.ts";
import { startModelApi, type ModelApi } from "@hl/testkit/model-api/model-api.ts";
import { isRunning, processesWith } from "@hl/testkit/processes.ts";
import { until } from "@hl/testkit/waiting.ts";
import { Fleet, fleetScript, protocols, refused, waitingTool, type FleetAgent } from "./fleet.ts";

type State = "idle" | "streaming" | "permission open" | "tool running";

/** A turn that was begun, and how it stands. */
interface Turn {
  readonly agent: FleetAgent;
  /** Undefined where the agent is idle. */
  readonly prompt?: string;
  readonly relay_id: string;
  /** What its caller gets. */
  readonly answer: Promise<Message>;
  readonly asked?: Message;
  readonly tool?: number;
}

describe("kill -9", () => {
  const stack = new AsyncDisposableStack();
  let model: ModelApi;
  let fleet: Fleet;
  let agents: FleetAgent[] = [];
  let number = 0;
  /** Lets the answers go on that are held back. */
  let goOn = Promise.withResolvers<undefined>();

  before(async () => {
    model = stack.use(await startModelApi({ script: fleetScript(() => goOn.promise) }));
    const rules = [{ tool: "Bash", pattern: `${waitingTool} *`, decision: "allow" }];
    fleet = stack.use(await Fleet.start(model, { claude: { approvals: { rules }, key_proxy: false } }));
    agents = await fleet.startAll();
    for (const agent of agents) assert.equal((await fleet.relay(agent, "hello")).text, "echo: hello");
  });
  after(() => stack.disposeAsync());

  async function begin(agent: FleetAgent, state: State): Promise<Turn> {
    const name = `turn-${(number += 1)}`;
    const relay_id = randomUUID();
    const turn = (prompt: string): Turn & { prompt: string } => {
      const answer = fleet.relay(agent, prompt, { relay_id });
      answer.catch(() => {}); // Judged later.
      return { agent, prompt, relay_id, answer };
    };
    switch (state) {
      case "idle":
        return { agent, relay_id, answer: Promise.resolve(undefined) };
      case "streaming": {
        fleet.forget(agent);
        const streaming = turn(`!stream ${name}`);
        await fleet.said(agent, "zeroth ");
        return streaming;
      }
      case "permission open": {
        const asking = turn(`!bash touch ${name}`);
        return { ...asking, asked: await fleet.pending(agent) };
      }
      case "tool running": {
        const running = turn(`!bash ${fleet.waitingTool(agent, name)}`);
        return { ...running, tool: await fleet.toolRunning(agent, name) };
      }
    }
  }

  /** What lets the turn come to its end, and the end it comes to. */
  async function finish({ agent, prompt = "", asked, tool: pid }: Turn): Promise<RegExp> {
    const name = prompt.split(" ").at(-1) ?? "";
    if (asked !== undefined) {
      const again = await fleet.pending(agent);
      const same = ({ approval_id, input_hash, expires_at }: Message): unknown[] => [
        approval_id,
        input_hash,
        expires_at,
      ];
      assert.deepEqual(same(again), same(asked), "the same question, still open");
      assert.equal((await fleet.decide(again, "allow")).state, "approved");
      return /^tool result/;
    }
    if (pid !== undefined) {
      assert.ok(isRunning(pid), "the tool has outlived the daemon");
      await fleet.releaseTool(agent, name);
      return /^tool result: .*released/s;
    }
    goOn.resolve(undefined);
    return /^zeroth first second$/;
  }

  async function daemonKilled(state: State): Promise<void> {
    goOn = Promise.withResolvers();
    const turns = await Promise.all(agents.map((agent) => begin(agent, state)));
    const listed = await Promise.all(agents.map((agent) => fleet.listed(agent)));
    await fleet.daemon.kill();
    if (state !== "idle") for (const { answer } of turns) await assert.rejects(answer, /the connection closed/);
    assert.ok(agents.every(({ pid }) => isRunning(pid)));
    await fleet.comeBack();
    await Promise.all(turns.map((turn) => goesOn(turn, state)));
    for (const [index, agent] of agents.entries()) {
      const { pid, session_id, turns: before } = listed[index];
      const now = await fleet.listed(agent);
      assert.deepEqual([now.pid, now.session_id, now.status], [pid, session_id, "idle"], agent.protocol);
      assert.equal(now.turns, Number(before) + (state === "idle" ? 1 : 2), agent.protocol);
    }
  }

  async function goesOn(turn: Turn, state: State): Promise<void> {
    const { agent, prompt, relay_id } = turn;
    if (prompt !== undefined) {
      assert.match((await fleet.listed(agent)).status, /^(running|requires_action)$/, agent.protocol);
      const joined = fleet.relay(agent, prompt, { relay_id });
      const wanted = await finish(turn);
      assert.match((await joined).text, wanted, `${agent.protocol}, ${state}`);
      assert.match((await fleet.relay(agent, prompt, { relay_id })).text, wanted, "read in the log");
      assert.equal(fleet.asked(prompt), 1, `${agent.protocol}: the model was asked once`);
    }
    assert.equal((await fleet.relay(agent, `after ${relay_id}`)).text, `echo: after ${relay_id}`);
  }

  async function agentKilled(state: State): Promise<void> {
    goOn = Promise.withResolvers();
    const turns = await Promise.all(agents.map((agent) => begin(agent, state)));
    for (const { pid } of agents) process.kill(pid, "SIGKILL");
    agents = await Promise.all(turns.map((turn) => isLost(turn)));
  }

  /** The agent that resumes its conversation. */
  async function isLost({ agent, prompt, relay_id, answer, asked, tool: toolPid }: Turn): Promise<FleetAgent> {
    const { process_id, session_id, protocol } = agent;
    if (prompt !== undefined) {
      const { data } = await refused(answer, 1204);
      assert.deepEqual(
        [data.process_id, data.exit_code, typeof data.stderr_tail],
        [process_id, 137, "string"],
        protocol,
      );
    }
    const ended = await until("its end", async () => {
      const now = await fleet.listed(agent);
      return now.status === "ended" && now;
    });
    assert.deepEqual([ended.exit_code, ended.session_id], [137, session_id], protocol);
    await until(`nothing of ${protocol}`, () => processesWith("HL_PROCESS_ID", process_id).length === 0);
    // In its last moments it has no environment any more.
    if (toolPid !== undefined) await until(`the end of the tool of ${protocol}`, () => !isRunning(toolPid));
    if (asked !== undefined) {
      await until("the request is lost", async () => (await fleet.approval(asked.approval_id)).state === "lost");
      assert.equal((await refused(fleet.decide(asked, "allow"), 1604)).data.state, "lost");
    }
    await refused(fleet.relay(agent, "somebody there?"), 1204);
    if (prompt !== undefined) {
      const { message } = await refused(fleet.relay(agent, prompt, { relay_id }), 1204);
      assert.match(message, /it is not sent again/);
    }
    const next = await fleet.startAgent(protocol, { resume: session_id });
    assert.equal(next.session_id, session_id, protocol);
    assert.equal((await fleet.relay(next, `after ${relay_id}`)).text, `echo: after ${relay_id}`);
    if (prompt !== undefined) assert.equal(fleet.asked(prompt), 1, `${protocol}: nothing is sent again`);
    return next;
  }

  test("P3: of the daemon while its agents are idle", () => daemonKilled("idle"));
  test("P3, A2: of the daemon while they are streaming", () => daemonKilled("streaming"));
  test("P3, A3: of the daemon while a permission is open", () => daemonKilled("permission open"));
  test("P3: of the daemon while a tool is running", () => daemonKilled("tool running"));

  test("A1: of the agents while they are idle", () => agentKilled("idle"));
  test("A1, A2: of the agents while they are streaming", () => agentKilled("streaming"));
  test("A3: of the agents while a permission is open", () => agentKilled("permission open"));
  test("P1: of the agents while a tool is running", () => agentKilled("tool running"));

  test("P1: after the end no process of any of them is left", async () => {
    const { processes } = await fleet.client.call("claude/list");
    assert.equal(processes.length, protocols.length * 5);
    for (const agent of agents) assert.match((await fleet.stop(agent)).status, /stopped/, agent.protocol);
    for (const { process_id } of processes) assert.deepEqual(processesWith("HL_PROCESS_ID", process_id), []);
  });
});

test("P3, X4: behind the key proxy a stream is cut with the daemon, the agents ask again, and each turn ends whole", async () => {
  const goOn = Promise.withResolvers<undefined>();
  await using model = await startModelApi({ script: fleetScript(() => goOn.promise) });
  await using fleet = await Fleet.start(model, { environment: { CLAUDE_CODE_MAX_RETRIES: "10" } });
  const agents = await fleet.startAll();
  const turns = agents.map((agent) => ({ agent, prompt: `!stream ${agent.protocol}`, relay_id: randomUUID() }));
  const refusals = turns.map(({ agent, prompt, relay_id }) =>
    assert.rejects(fleet.relay(agent, prompt, { relay_id }), /the connection closed/),
  );
  for (const { agent } of turns) await fleet.said(agent, "zeroth ");
  await fleet.daemon.kill();
  await Promise.all(refusals);
  await fleet.comeBack();
  goOn.resolve(undefined);
  for (const { agent, prompt, relay_id } of turns) {
    assert.match((await fleet.relay(agent, prompt, { relay_id })).text, /zeroth first second$/, agent.protocol);
    assert.equal(fleet.asked(prompt), 2, `${agent.protocol}: once before and once behind`);
    assert.equal((await fleet.relay(agent, "after")).text, "echo: after");
  }
});
