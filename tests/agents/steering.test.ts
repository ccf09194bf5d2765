/**
 * Goal: A1, A2, P3: a message that is sent while a turn of the real Claude Code runs is in the turn where the agent can take it, is a turn
 * of its own where it cannot, and gets the result that names it in both, also when the daemon is killed between. Method: the real programs;
 * the stub of the model's API holds an answer back until the test lets it go, a tool waits at a named pipe.
 */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, describe, test } from "node:test";
import type { Message } from "@hl/testkit/message-client.ts";
import { startModelApi, type ModelApi } from "@hl/testkit/model-api/model-api.ts";
import { until } from "@hl/testkit/waiting.ts";
import { Fleet, fleetScript, refused, waitingTool, type FleetAgent } from "./fleet.ts";

describe("steer", () => {
  const stack = new AsyncDisposableStack();
  let model: ModelApi;
  let fleet: Fleet;
  let agent: FleetAgent;
  /** Lets the answers go on that are held back. */
  let goOn = Promise.withResolvers<undefined>();

  before(async () => {
    model = stack.use(await startModelApi({ script: fleetScript(() => goOn.promise) }));
    const rules = [{ tool: "Bash", pattern: `${waitingTool} *`, decision: "allow" }];
    fleet = stack.use(await Fleet.start(model, { claude: { approvals: { rules } } }));
    agent = await fleet.startAgent("stream-json");
  });
  after(() => stack.disposeAsync());

  const waits = async (): Promise<void> => {
    await until("the steered message is on its way", async () => {
      const { relays_waiting } = await fleet.client.call("claude/status", { process_id: agent.process_id });
      return relays_waiting === 1;
    });
    // Behind it in the agent's input: answered, the agent has read both.
    await fleet.relay(agent, { jsonrpc: "2.0", id: 1, method: "system/ping" });
  };
  const steer = (text: string, relay_id: string): Promise<Message> =>
    fleet.relay(agent, text, { relay_id, steer: true });
  /** How often the model was shown the text, in whichever of its requests it was new. */
  const shown = (text: string): boolean => model.requests.some(({ body }) => JSON.stringify(body ?? {}).includes(text));

  test("A1: sent while the model streams it is the next turn, with its own result", async () => {
    goOn = Promise.withResolvers();
    const streaming = fleet.relay(agent, "!stream 1");
    await fleet.said(agent, "zeroth ");
    const steered = steer("own turn", randomUUID());
    await waits();
    const behind = fleet.relay(agent, "behind");
    goOn.resolve(undefined);
    assert.equal((await streaming).text, "zeroth first second");
    assert.equal((await steered).text, "echo: own turn");
    assert.equal((await behind).text, "echo: behind");
    assert.equal((await fleet.listed(agent)).status, "idle");
  });

  test("A1: sent while a tool runs it is taken into the turn, whose result answers both", async () => {
    const relayIds = [randomUUID(), randomUUID()] as const;
    const prompt = `!bash ${fleet.waitingTool(agent, "shared")}`;
    const running = fleet.relay(agent, prompt, { relay_id: relayIds[0] });
    await fleet.toolRunning(agent, "shared");
    const steered = steer("into the turn", relayIds[1]);
    await waits();
    await fleet.releaseTool(agent, "shared");
    const [one, two] = await Promise.all([running, steered]);
    assert.match(one.text, /^tool result: .*released/s);
    assert.equal(two.text, one.text);
    assert.deepEqual(two.raw.user_message_uuids, relayIds);
    assert.ok(shown("into the turn"), "the model was shown it");
    assert.equal((await fleet.listed(agent)).status, "idle");
  });

  test("P3, A2: the daemon is killed between: both are taken up, and neither is sent again", async () => {
    const relayIds = [randomUUID(), randomUUID()] as const;
    const prompt = `!bash ${fleet.waitingTool(agent, "crash")}`;
    const running = fleet.relay(agent, prompt, { relay_id: relayIds[0] });
    await fleet.toolRunning(agent, "crash");
    const steered = steer("over a crash", relayIds[1]);
    await waits();
    await Promise.all([
      assert.rejects(running, /the connection closed/),
      assert.rejects(steered, /the connection closed/),
      fleet.daemon.kill(),
    ]);
    await fleet.comeBack();
    const before = model.requests.length;
    const joined = [fleet.relay(agent, prompt, { relay_id: relayIds[0] }), steer("over a crash", relayIds[1])];
    await fleet.releaseTool(agent, "crash");
    const [one, two] = await Promise.all(joined);
    assert.match(one!.text, /^tool result: .*released/s);
    assert.ok(shown("over a crash"));
    assert.equal(two!.text, one!.text);
    assert.equal(model.requests.length, before + 1);
    const again = await steer("over a crash", relayIds[1]);
    assert.deepEqual([again.text, again.duplicate], [one!.text, true], "read in the log");
  });

  test("a time-out of the steered one leaves the turn alone, and takes it back where it was not begun", async () => {
    goOn = Promise.withResolvers();
    const streaming = fleet.relay(agent, "!stream 2");
    await until("it streams", () => fleet.asked("!stream 2") === 1);
    const late = fleet.relay(agent, "taken back", { steer: true, timeout: 1 });
    await refused(late, 1203);
    goOn.resolve(undefined);
    assert.equal((await streaming).text, "zeroth first second");
    assert.equal((await fleet.relay(agent, "next")).text, "echo: next");
    assert.ok(!shown("taken back"));
  });

  test("over jsonrpc and acp it is refused", async () => {
    for (const protocol of ["jsonrpc", "acp"] as const) {
      const other = await fleet.startAgent(protocol);
      const { message } = await refused(fleet.relay(other, "x", { steer: true }), -32602);
      assert.match(message, new RegExp(`${protocol} has no way`));
    }
  });
});
