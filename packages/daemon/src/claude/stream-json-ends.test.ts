/**
 * Goal: every relay and every request settles, however the turn or the process ends.
 * Method: the adapter against a fake of Claude Code that speaks in recorded shapes, on a clock the test moves. The same adapter is
 * driven against the real program in tests/agents.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { settled } from "@hl/testkit/manual-clock.ts";
import { AgentFailure } from "./agent.ts";
import { failure, relay, setUp } from "./stream-json.fixture.test.ts";

describe("stream-json adapter: ends", () => {
  test("A1: at its timeout a turn is interrupted, and the relay fails with what had come", async () => {
    const { agent, claude, clock } = setUp();
    const answer = failure(relay(agent, "x", { timeoutMs: 1_000 }));
    claude.start();
    claude.say({
      type: "stream_event",
      event: { type: "content_block_delta", delta: { type: "text_delta", text: "half" } },
      session_id: "s1",
    });
    await clock.advance(999);
    assert.equal(claude.requests("interrupt").length, 0);
    await clock.advance(1);
    assert.deepEqual(claude.requests("interrupt")[0].request, { subtype: "interrupt", cancel_queued: true });
    claude.result(claude.prompts[0].uuid, {
      subtype: "error_during_execution",
      is_error: true,
      terminal_reason: "aborted_streaming",
    });
    const { kind, facts } = await answer;
    assert.deepEqual([kind, facts], ["timeout", { sent: true, turnEnded: true, partialText: "half" }]);
    const next = relay(agent, "next");
    claude.finish("usable");
    assert.equal((await next).text, "usable");
  });

  test("A1: an agent that ignores the interrupt keeps its slot, but not its caller", async () => {
    const { agent, claude, clock } = setUp();
    const answer = failure(relay(agent, "x", { timeoutMs: 1_000 }));
    const queued = failure(relay(agent, "y", { timeoutMs: 5_000 }));
    await clock.advance(3_000);
    assert.deepEqual([(await answer).kind, (await answer).facts.turnEnded], ["timeout", false]);
    await clock.advance(2_000);
    assert.deepEqual([(await queued).kind, (await queued).facts.sent], ["timeout", false]);
    assert.equal(claude.prompts.length, 1);
    assert.equal(clock.timers, 0);
  });

  test("an aborted relay is cancelled: taken back while it waits, interrupted while it runs", async () => {
    const { agent, claude } = setUp();
    const [first, second, early] = [new AbortController(), new AbortController(), AbortSignal.abort()];
    const running = failure(relay(agent, "one", { signal: first.signal }));
    const waiting = failure(relay(agent, "two", { signal: second.signal }));
    assert.equal((await failure(relay(agent, "three", { signal: early }))).kind, "cancelled");
    second.abort();
    assert.deepEqual([(await waiting).kind, (await waiting).facts.sent], ["cancelled", false]);
    first.abort();
    await settled();
    assert.equal(claude.requests("interrupt").length, 1);
    claude.lifecycle(claude.prompts[0].uuid, "cancelled");
    assert.deepEqual([(await running).kind, (await running).facts.sent], ["cancelled", true]);
    assert.equal(claude.prompts.length, 1);
  });

  test("interrupt() ends the turn, whose relay answers as interrupted", async () => {
    const { agent, claude } = setUp();
    const answer = relay(agent, "x");
    const interrupted = agent.interrupt();
    claude.lifecycle(claude.prompts[0].uuid, "cancelled");
    claude.answer("interrupt", { still_queued: [], cancelled: [claude.prompts[0].uuid] });
    await interrupted;
    assert.equal((await answer).error?.kind, "interrupted");
  });

  test("A1: closed() rejects all that waits, with how the agent ended", async () => {
    const { agent, claude, clock } = setUp();
    const all = [
      relay(agent, "one"),
      relay(agent, "two"),
      agent.ping(1_000),
      agent.interrupt(),
      agent.initialize(1_000),
    ].map(failure);
    claude.start();
    const exit = { code: 143, signal: null, stderrTail: "bye" };
    agent.closed(exit);
    for (const { kind, facts } of await Promise.all(all)) assert.deepEqual([kind, facts.exit], ["exited", exit]);
    assert.deepEqual(
      (await Promise.all(all)).slice(0, 2).map(({ facts }) => facts.sent),
      [true, false],
    );
    assert.equal((await failure(relay(agent, "late"))).kind, "exited");
    assert.equal((await failure(agent.ping(1_000))).kind, "exited");
    await agent.endSession();
    assert.equal(clock.timers, 0);
  });

  test("a result in the last, unfinished line before the exit still counts", async () => {
    const { agent, claude } = setUp();
    const answer = relay(agent, "x");
    agent.receive(
      Buffer.from(
        JSON.stringify({
          type: "result",
          subtype: "success",
          is_error: false,
          result: "last",
          user_message_uuid: claude.prompts[0].uuid,
        }),
      ),
    );
    agent.closed({ code: 0, signal: null });
    assert.equal((await answer).text, "last");
  });

  test("endSession refuses new relays and lets the turn in flight end", async () => {
    const { agent, claude } = setUp();
    const running = relay(agent, "one");
    const waiting = failure(relay(agent, "two"));
    const ended = agent.endSession();
    assert.equal((await waiting).kind, "exited");
    assert.equal((await failure(relay(agent, "three"))).kind, "exited");
    claude.result(claude.prompts[0].uuid, {
      subtype: "error_during_execution",
      is_error: true,
      terminal_reason: "aborted_streaming",
    });
    claude.answer("end_session");
    await ended;
    assert.equal((await running).error?.kind, "interrupted");
  });

  test("a stdin that cannot be written fails the relay", async () => {
    const { agent } = setUp({ write: () => Promise.reject(new Error("EPIPE")) });
    const { kind, message } = await failure(relay(agent, "x"));
    assert.equal(kind, "exited");
    assert.match(message, /EPIPE/u);
  });

  test("ping says how long the agent took, and what it refuses is control_refused", async () => {
    const { agent, claude, clock } = setUp();
    const ping = agent.ping(1_000);
    await clock.advance(12);
    claude.answer("get_binary_version", { version: "2.1.330" });
    assert.equal(await ping, 12);
    const refused = failure(agent.ping(1_000));
    const request_id = claude.requests("get_binary_version").at(-1).request_id;
    claude.say({
      type: "control_response",
      response: { subtype: "error", request_id, error: "Unsupported control request subtype" },
    });
    assert.equal((await refused).kind, "control_refused");
    assert.ok((await refused) instanceof AgentFailure);
  });
});
