/**
 * Goal: A1, A2 for messages that are sent while a turn runs: each relay is answered by the result that names it, whether the agent takes
 * the message into that turn or makes a turn of its own of it. Method: a fake agent that says what Claude Code 2.1.330 was seen to say.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { AgentEvent } from "./agent.ts";
import { uuidOfRelay } from "./relay-message.ts";
import { failure, relay, setUp, type Fixture } from "./stream-json.fixture.test.ts";

const first = uuidOfRelay("r1");
const second = uuidOfRelay("r2");
const third = uuidOfRelay("r3");
const aborted = {
  ...{ subtype: "error_during_execution", is_error: true, terminal_reason: "aborted_streaming" },
  ...{ result: undefined, errors: ["aborted"] },
};

function inTurn(options: Parameters<typeof setUp>[0] = {}): Fixture & { one: ReturnType<typeof relay> } {
  const fixture = setUp(options);
  const one = relay(fixture.agent, "one", { relayId: "r1" });
  fixture.claude.start();
  return { ...fixture, one };
}

const sentTexts = ({ claude }: Fixture): string[] => claude.prompts.map(({ message }) => message.content);
const completed = ({ events }: Fixture): AgentEvent[] => events.filter(({ type }) => type === "agent.turn_completed");

describe("steering", () => {
  test("A1: a message that is taken into the turn shares its result, which is told once for each and counted once", async () => {
    const fixture = inTurn();
    const { agent, claude, one } = fixture;
    const two = relay(agent, "two", { relayId: "r2", steer: true });
    assert.deepEqual(sentTexts(fixture), ["one", "two"]);
    for (const state of ["queued", "started", "completed"] as const) claude.lifecycle(second, state);
    assert.equal(completed(fixture).length, 0, "the end of its line's life is not its result");
    claude.result(first, { result: "both", user_message_uuids: [first, second] });
    claude.lifecycle(first, "completed");
    assert.deepEqual([(await one).text, (await two).text], ["both", "both"]);
    assert.deepEqual(
      completed(fixture).map((event) => [event.relayId, "shared" in event && event.shared]),
      [
        ["r1", false],
        ["r2", true],
      ],
    );
    assert.deepEqual([agent.turnInFlight, agent.turnsWaiting], [undefined, 0]);
    const again = await relay(agent, "two", { relayId: "r2", steer: true });
    assert.equal(again.duplicate, true);
    assert.equal(claude.prompts.length, 2);
    assert.equal(fixture.clock.timers, 0);
  });

  test("A1: messages that become a turn of their own get its result, ahead of those that waited", async () => {
    const fixture = inTurn();
    const { agent, claude, one } = fixture;
    const last = relay(agent, "last", { relayId: "r4" });
    const two = relay(agent, "two", { relayId: "r2", steer: true });
    const three = relay(agent, "three", { relayId: "r3", steer: true });
    const joined = relay(agent, "two", { relayId: "r2", steer: true });
    for (const uuid of [second, third]) claude.lifecycle(uuid, "queued");
    claude.result(first, { result: "echo: one" });
    claude.lifecycle(first, "completed");
    assert.equal((await one).text, "echo: one");
    assert.equal(agent.turnInFlight?.relayId, "r2");
    for (const uuid of [second, third]) claude.lifecycle(uuid, "started");
    assert.deepEqual(sentTexts(fixture), ["one", "two", "three"]);
    claude.result(third, { result: "echo: two three", user_message_uuids: [second, third] });
    for (const uuid of [second, third]) claude.lifecycle(uuid, "completed");
    assert.deepEqual([(await two).text, (await three).text], ["echo: two three", "echo: two three"]);
    assert.equal(await joined, await two);
    claude.start();
    claude.finish("echo: last");
    assert.equal((await last).text, "echo: last");
    assert.deepEqual(sentTexts(fixture), ["one", "two", "three", "last"]);
  });

  test("without a turn in flight it is an ordinary relay, and at turnsWaitingMax it is refused as busy", async () => {
    const fixture = setUp({ turnsWaitingMax: 2 });
    const { agent, claude } = fixture;
    const one = relay(agent, "one", { relayId: "r1", steer: true });
    assert.equal(agent.turnInFlight?.steered, false);
    claude.start();
    const two = relay(agent, "two", { relayId: "r2", steer: true });
    const three = relay(agent, "three", { relayId: "r3" });
    assert.equal(agent.turnsWaiting, 2);
    const refused = await failure(relay(agent, "four", { steer: true }));
    assert.deepEqual([refused.kind, refused.facts.sent], ["busy", false]);
    claude.result(first, { result: "1" });
    claude.result(second, { result: "2" });
    claude.result(third, { result: "3" });
    assert.deepEqual(
      (await Promise.all([one, two, three])).map(({ text }) => text),
      ["1", "2", "3"],
    );
  });

  test("while the daemon attaches it waits, and is sent into the adopted turn as soon as the agent has answered", async () => {
    const fixture = setUp();
    const { agent, claude } = fixture;
    agent.attach();
    agent.adopt("r1");
    const info = agent.initialize(1_000);
    const two = relay(agent, "two", { relayId: "r2", steer: true });
    assert.deepEqual(sentTexts(fixture), []);
    claude.answer("initialize", { session_state: "running" });
    await info;
    assert.deepEqual(sentTexts(fixture), ["two"]);
    claude.result(first, { result: "both", user_message_uuids: [first, second] });
    assert.equal((await two).text, "both");
  });

  test("P3: after a crash of the daemon both are adopted, and each is answered by the result that names it", async () => {
    for (const shared of [true, false]) {
      const { agent, claude } = setUp();
      agent.attach();
      agent.adopt("r1");
      agent.adopt("r2", true);
      const answers = [relay(agent, "one", { relayId: "r1" }), relay(agent, "two", { relayId: "r2", steer: true })];
      if (shared) for (const state of ["started", "completed"] as const) claude.lifecycle(second, state);
      claude.result(first, { result: "1", user_message_uuids: shared ? [first, second] : [first] });
      if (!shared) claude.result(second, { result: "2" });
      assert.deepEqual(
        (await Promise.all(answers)).map(({ text }) => text),
        shared ? ["1", "1"] : ["1", "2"],
      );
      assert.equal(claude.prompts.length, 0);
    }
  });

  test("an interrupt ends the turn that both share, and takes back what was not begun", async () => {
    const { agent, claude, one } = inTurn();
    const two = relay(agent, "two", { relayId: "r2", steer: true });
    const three = relay(agent, "three", { relayId: "r3", steer: true });
    claude.lifecycle(second, "started");
    const interrupted = agent.interrupt();
    assert.equal(claude.requests("interrupt")[0].request.cancel_queued, true);
    claude.lifecycle(third, "cancelled");
    claude.answer("interrupt");
    claude.lifecycle(second, "cancelled");
    claude.result(first, { ...aborted, user_message_uuids: [first, second] });
    await interrupted;
    for (const answer of [one, two, three]) assert.equal((await answer).error?.kind, "interrupted");
    assert.equal(agent.turnInFlight, undefined);
  });

  test("A1: the time-out of the turn in flight leaves a steered message to be begun next", async () => {
    const { agent, claude, clock } = setUp();
    const one = failure(relay(agent, "one", { relayId: "r1", timeoutMs: 1_000 }));
    claude.start();
    const two = relay(agent, "two", { relayId: "r2", steer: true });
    await clock.advance(1_000);
    assert.equal(claude.requests("interrupt")[0].request.cancel_queued, undefined);
    claude.result(first, aborted);
    assert.deepEqual([(await one).kind, (await one).facts.turnEnded], ["timeout", true]);
    claude.lifecycle(second, "started");
    claude.result(second, { result: "echo: two" });
    assert.equal((await two).text, "echo: two");
  });

  test("A1: the time-out of a steered one takes it back where it is not begun, and never interrupts the other's turn", async () => {
    for (const begun of [false, true]) {
      const { agent, claude, clock, one } = inTurn();
      const two = failure(relay(agent, "two", { relayId: "r2", steer: true, timeoutMs: 1_000 }));
      if (begun) claude.lifecycle(second, "started");
      await clock.advance(1_000);
      assert.deepEqual(
        claude.requests("cancel_async_message").map(({ request }) => request.message_uuid),
        begun ? [] : [second],
      );
      if (!begun) claude.lifecycle(second, "cancelled");
      const { kind, facts } = await two;
      assert.deepEqual([kind, facts.sent, facts.turnEnded], ["timeout", true, !begun]);
      assert.equal(claude.requests("interrupt").length, 0);
      claude.result(first, { result: "echo: one", user_message_uuids: begun ? [first, second] : [first] });
      assert.equal((await one).text, "echo: one");
      assert.deepEqual([agent.turnInFlight, agent.turnsWaiting], [undefined, 0]);
    }
  });

  test("A1: the clocks of both stand still while a permission of the turn is open", async () => {
    const decided = Promise.withResolvers<{ behavior: "allow" }>();
    const { agent, claude, clock, one } = inTurn({ onPermission: () => decided.promise });
    const before = relay(agent, "two", { relayId: "r2", steer: true, timeoutMs: 1_000 });
    claude.ask("p1");
    const during = relay(agent, "three", { relayId: "r3", steer: true, timeoutMs: 1_000 });
    await clock.advance(50_000);
    decided.resolve({ behavior: "allow" });
    await clock.advance(999);
    claude.result(first, { result: "all", user_message_uuids: [first, second, third] });
    assert.deepEqual(
      (await Promise.all([one, before, during])).map(({ text }) => text),
      ["all", "all", "all"],
    );
  });

  test("A1: where the shared result was too long to be read, both say so; where there is none at all, the agent's idleness ends them", async () => {
    const { agent, claude, one } = inTurn({ lineBytesMax: 1_000 });
    const two = relay(agent, "two", { relayId: "r2", steer: true });
    for (const state of ["started", "completed"] as const) claude.lifecycle(second, state);
    claude.result(first, { result: "x".repeat(2_000), user_message_uuids: [first, second] });
    claude.lifecycle(first, "completed");
    for (const answer of [one, two]) assert.equal((await answer).error?.kind, "limit");

    const three = relay(agent, "three", { relayId: "r5" });
    claude.start();
    const four = relay(agent, "four", { relayId: "r6", steer: true });
    for (const state of ["started", "completed"] as const) claude.lifecycle(uuidOfRelay("r6"), state);
    claude.result(uuidOfRelay("r5"), { user_message_uuid: undefined, user_message_uuids: undefined, result: "old" });
    for (const answer of [three, four]) assert.equal((await answer).text, "old");

    agent.adopt("r7", true);
    const lost = relay(agent, "x", { relayId: "r7" });
    for (const state of ["started", "completed"] as const) claude.lifecycle(uuidOfRelay("r7"), state);
    claude.say({ type: "system", subtype: "session_state_changed", state: "idle", session_id: "s1" });
    assert.equal((await lost).error?.kind, "other");
  });

  test("A1: the end of the process ends both", async () => {
    const { agent, one } = inTurn();
    const answers = [failure(one), failure(relay(agent, "two", { relayId: "r2", steer: true }))];
    agent.closed({ code: 1, signal: null, stderrTail: "" });
    for (const { kind, facts } of await Promise.all(answers)) assert.deepEqual([kind, facts.sent], ["exited", true]);
  });
});
