/**
 * Goal: P3, A2: whichever way a daemon goes, the next one has its agents, and what cannot be known or read any more is said, never
 * waited for. Method: two tables of agents, one after the other, over the real hl-runner and one database; the agents say what the test
 * wants. tests/system/agent-recovery.test.ts does it with kill -9 of the real daemon.
 */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { silentLogger } from "@hl/core/logger.ts";
import { HlError } from "@hl/protocol/errors.ts";
import { isRunning } from "@hl/testkit/processes.ts";
import { until } from "@hl/testkit/waiting.ts";
import type { RelayResult } from "./agent.ts";
import { hashOfLine } from "./agent-input.ts";
import { promptLine } from "./relay-message.ts";
import { setUpAgents, type Fixture, type Life } from "./agents.fixture.test.ts";

describe("agents over two lives of the daemon", () => {
  let f: Fixture;
  before(async () => void (f = await setUpAgents()));
  after(() => f[Symbol.asyncDispose]());

  const nextLife = async (options: Parameters<Fixture["life"]>[0] = {}): Promise<Life> => {
    const life = f.life(options);
    await life.agents.recover();
    return life;
  };
  /** A turn is in flight, and the daemon has gone. */
  const leftInTurn = async (options: Parameters<Fixture["life"]>[0] = {}) => {
    const first = f.life(options);
    const { fake, processId } = await f.start(first);
    const relayId = randomUUID();
    const answer = first.relay(processId, "hello", relayId).catch((error: unknown) => error);
    await fake.prompt(1);
    fake.claude.start();
    fake.claude.say({ type: "system", subtype: "session_state_changed", state: "running", session_id: "s1" });
    await until("it is read", () => first.agents.get(processId).facts.state === "running");
    await first.agents.drain(false);
    return { first, fake, processId, relayId, answer };
  };

  test("X4, X2: what is secret in an agent's environment is held as long as it lives; without room for it it does not start", async () => {
    const holding = new Map<string, Readonly<Record<string, string>>>();
    const secrets = {
      hold: (owner: string, environment: Readonly<Record<string, string>>) => void holding.set(owner, environment),
      holdRunning: () => true,
      release: (owner: string) => void holding.delete(owner),
    };
    const life = f.life({ secrets });
    const { processId } = await f.start(life);
    assert.deepEqual([...holding.keys()], [processId]);
    assert.equal(holding.get(processId)?.["HL_PROCESS_ID"], processId); // All that it gets.
    await life.agents.drain(true);
    assert.equal(holding.size, 0);
    const full = (): never => {
      throw new HlError("process_limit", "full");
    };
    const refused = f.life({ secrets: { ...secrets, hold: full } });
    await assert.rejects(refused.agents.start({ workspace_path: f.root }), /full/);
    assert.deepEqual(refused.agents.list(), []);
  });

  test("P7: of those that have ended the newest are kept; of an older one record, turns and log go", async () => {
    await using own = await setUpAgents();
    const life = own.life({ endedKept: 2 });
    const ids: string[] = [];
    for (const text of ["one", "two", "three", "four"]) {
      const { fake, processId } = await own.start(life);
      const answer = life.relay(processId, text, randomUUID());
      await fake.prompt(1);
      fake.claude.start();
      fake.claude.finish(text);
      await answer;
      await life.agents.get(processId).stop({ force: true, timeoutMs: 0 });
      ids.push(processId);
    }
    const kept = ids.slice(2).sort();
    assert.deepEqual(
      life.agents
        .list()
        .map(({ process_id }) => process_id)
        .sort(),
      kept,
    );
    assert.throws(() => life.agents.get(ids[0]!), /there is no agent/);
    await until("their logs are gone", async () => (await own.runner.list()).length === 2);
    assert.deepEqual((await own.runner.list()).sort(), kept);
    await until("their records are gone", () => own.records.all().length === 2);
    const turns = own.database.read(() =>
      own.database.prepare("SELECT DISTINCT process_id FROM agent_turns ORDER BY process_id").all(),
    );
    assert.deepEqual(
      turns.map((row) => row["process_id"]),
      kept,
    );
  });

  test("P3: an upgrade leaves agents to the next daemon; who waits is told, and gets the result there", async () => {
    const { first, fake, processId, relayId, answer } = await leftInTurn();
    const error = (await answer) as HlError;
    assert.ok(error instanceof HlError);
    assert.deepEqual([error.type, first.told], ["shutting_down", ["start"]]);
    const second = await nextLife();
    assert.equal(second.agents.get(processId).facts.state, "running");
    const again = second.relay(processId, "hello", relayId);
    await fake.initialized(2, { session_state: "running" });
    fake.claude.finish("after the upgrade");
    assert.equal((await again).text, "after the upgrade");
    assert.deepEqual(second.told, ["turn-1"]);
    await second.agents.drain(true);
    assert.match(second.told.join(), /^turn-1,end /);
    const third = await nextLife();
    const { state, turns } = third.agents.get(processId).facts;
    assert.deepEqual([state, turns, third.told], ["ended", 1, []]);
    assert.equal((await third.relay(processId, "hello", relayId)).text, "after the upgrade");
    assert.ok(!isRunning(third.agents.get(processId).facts.pid));
  });

  test("P3, A2: what was steered into a turn is taken up with it: each gets the result that names it, also when it is read again, and it is counted once", async () => {
    for (const taken of [true, false]) {
      const { fake, processId, relayId } = await leftInTurn();
      const second = await nextLife();
      await fake.initialized(2, { session_state: "running" });
      const steered = randomUUID();
      const cutOff = second.relay(processId, "more", steered, 30_000, true).catch((error: unknown) => error);
      await fake.prompt(2);
      await second.agents.drain(false);
      assert.equal(((await cutOff) as HlError).type, "shutting_down");
      const third = await nextLife();
      await fake.initialized(3, { session_state: "running" });
      assert.deepEqual(third.agents.get(processId).work, { relayId, waiting: 1 });
      const answers = [
        third.relay(processId, "hello", relayId),
        third.relay(processId, "more", steered, 30_000, true),
      ] as const;
      const { claude } = fake;
      const usage = { input_tokens: 7 };
      if (taken) for (const state of ["queued", "started", "completed"] as const) claude.lifecycle(steered, state);
      claude.result(relayId, { result: "1", usage, user_message_uuids: taken ? [relayId, steered] : [relayId] });
      claude.lifecycle(relayId, "completed");
      if (!taken) {
        claude.lifecycle(steered, "started");
        claude.result(steered, { result: "2", usage });
        claude.lifecycle(steered, "completed");
      }
      const texts = ["1", taken ? "1" : "2"];
      assert.deepEqual(
        (await Promise.all(answers)).map(({ text }) => text),
        texts,
      );
      const { facts } = third.agents.get(processId);
      assert.deepEqual([facts.state, facts.turns, facts.usage.total.input_tokens], ["idle", 2, taken ? 7 : 14]);
      await third.agents.drain(false);
      const fourth = await nextLife();
      await fake.initialized(4);
      const again = [
        await fourth.relay(processId, "hello", relayId),
        await fourth.relay(processId, "more", steered, 30_000, true),
      ];
      assert.deepEqual(
        again.map(({ text, duplicate }) => [text, duplicate]),
        texts.map((text) => [text, true]),
      );
      assert.equal(claude.prompts.length, 2);
      await fourth.agents.get(processId).stop({ force: true, timeoutMs: 0 });
    }
  });

  test("P3, S4: an end that cannot be stored is the shim's to keep: the next daemon has it, with its exit code", async () => {
    const refused = Promise.withResolvers<undefined>();
    const first = f.life({ logger: { ...silentLogger, error: () => refused.resolve(undefined) } });
    const { fake, processId } = await f.start(first);
    const fail = "SELECT RAISE(FAIL, 'the disk is full')";
    f.database.prepare(`CREATE TRIGGER full BEFORE UPDATE OF ended_ms ON agents BEGIN ${fail}; END`).run();
    fake.end();
    await until("it has ended", () => first.told.some((what) => what.startsWith("end")));
    await refused.promise; // Nobody waits for that write, so it comes a moment behind the end.
    const [, end] = first.told;
    await first.agents.drain(false);
    f.database.prepare("DROP TRIGGER full").run();
    const second = await nextLife();
    await until("the end is told", () => second.told.length > 0);
    assert.deepEqual(second.told, [end]);
    assert.equal(second.agents.get(processId).facts.state, "ended");
    assert.deepEqual((await nextLife()).told, []);
  });

  test("X4: what is secret in the environment of an agent that goes on is taken up from its process", async () => {
    const { first, processId } = await leftInTurn({});
    const running: [string, number][] = [];
    const holdRunning = (owner: string, pid: number): boolean => running.push([owner, pid]) > 0;
    const second = await nextLife({ secrets: { hold: () => {}, holdRunning, release: () => {} } });
    assert.deepEqual(running, [[processId, first.agents.get(processId).facts.pid]]);
    await second.agents.get(processId).stop({ force: true, timeoutMs: 0 });
  });

  test("P3: a line of which the first half came before and the second after is one line, 40 MB of it", async () => {
    const lineBytesMax = 64 * 1024 * 1024;
    const options = { lineBytesMax, logBytesMax: 2 * lineBytesMax };
    const { fake, processId, relayId } = await leftInTurn(options);
    const text = "a long answer ".repeat(3_000_000);
    const { uuid } = fake.claude.prompts[0];
    const line = JSON.stringify({
      type: "result",
      subtype: "success",
      is_error: false,
      result: text,
      user_message_uuid: uuid,
    });
    await fake.write(line.slice(0, 20_000_000));
    const second = await nextLife(options);
    await fake.write(`${line.slice(20_000_000)}\n`);
    await fake.initialized(2);
    assert.equal((await second.relay(processId, "hello", relayId)).text.length, text.length);
    await second.agents.get(processId).stop({ force: true, timeoutMs: 0 });
  });

  test("P5: an agent is read in pieces of readBytesMax, and a message over many of them is one", async () => {
    const readsWith = async (readBytesMax: number): Promise<number> => {
      let reads = 0;
      const life = f.life({ readBytesMax, pace: () => void (reads += 1) });
      const { fake, processId } = await f.start(life);
      const answer = life.relay(processId, "hello", randomUUID());
      await fake.prompt(1);
      fake.claude.start();
      const said = "x".repeat(40_000);
      reads = 0;
      fake.claude.finish(said);
      assert.equal((await answer).text, said);
      await life.agents.get(processId).stop({ force: true, timeoutMs: 0 });
      return reads;
    };
    const small = await readsWith(1_024);
    assert.ok(small >= 39, String(small));
    assert.ok((await readsWith(64 * 1024)) < small / 2);
  });

  test("P7: a result over the longest line is skipped after an attach too, the relay says so, and the agent is usable", async () => {
    const options = { lineBytesMax: 100_000 };
    const { fake, processId, relayId } = await leftInTurn(options);
    fake.claude.finish("x".repeat(200_000));
    const second = await nextLife(options);
    await fake.initialized(2);
    const result = await second.relay(processId, "hello", relayId);
    assert.deepEqual([result.is_error, result.error?.kind], [true, "limit"]);
    await usable(second, processId, fake);
    await second.agents.get(processId).stop({ force: true, timeoutMs: 0 });
  });

  const noise = `${JSON.stringify({ type: "noise", text: "n".repeat(1_000) })}\n`.repeat(500);

  test("P3: of output that was rotated away what is there is taken, and a result behind the gap counts", async () => {
    const options = { logBytesMax: 65_536 };
    const { fake, processId, relayId } = await leftInTurn(options);
    await fake.write(noise);
    fake.claude.finish("behind the gap");
    const second = await nextLife(options);
    await fake.initialized(2);
    assert.equal((await second.relay(processId, "hello", relayId)).text, "behind the gap");
    await second.agents.get(processId).stop({ force: true, timeoutMs: 0 });
  });

  test("P3: a result that was rotated away ends the turn with an error that says so, as soon as the agent is idle", async () => {
    const options = { logBytesMax: 65_536 };
    const { fake, processId, relayId } = await leftInTurn(options);
    await fake.write(noise); // Fills the first segment, which is never removed.
    await logHolds(processId, noise.length);
    fake.claude.finish("gone");
    await fake.write(noise);
    await logHolds(processId, 2 * noise.length);
    const second = await nextLife(options);
    const answer = second.relay(processId, "hello", relayId);
    await fake.initialized(2);
    const result: RelayResult = await answer;
    assert.equal(result.error?.kind, "limit");
    assert.match(result.error.message, /no longer in the log/);
    await usable(second, processId, fake);
    await second.agents.get(processId).stop({ force: true, timeoutMs: 0 });
  });

  test("A2: where nobody can say whether the agent had the message, that is the answer, and it is not sent again", async () => {
    const first = f.life();
    const { processId } = await f.start(first);
    const relayId = randomUUID();
    await f.records.beginTurn(
      {
        ...{
          processId,
          uuid: relayId,
          relayId,
          lineHash: hashOfLine(promptLine("hello", relayId)),
          lineBytes: 100,
          line: undefined,
        },
        ...{ inputOffset: 0, beganAt: 0 },
      },
      1,
    );
    await first.agents.drain(false);
    const { pid } = first.agents.get(processId).facts;
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ").map(Number);
    for (const child of children) process.kill(child, "SIGKILL"); // The whole tree, so that the shim leaves as well.
    await until("agent and shim have left", async () => !isRunning(pid) && (await shimLeft(processId)));
    const second = await nextLife();
    await second.agents.get(processId).ended;
    await assert.rejects(second.relay(processId, "hello", relayId), { type: "outcome_unknown" });
    await assert.rejects(second.relay(processId, "other", randomUUID()), { type: "claude_exited" });
    assert.deepEqual(second.told, ["end 7"]);
  });

  test("P1: an agent that no record knows is ended, and one that was never started is forgotten", async () => {
    const first = f.life();
    const { processId } = await f.start(first);
    const { pid } = first.agents.get(processId).facts;
    await first.agents.drain(false);
    await f.records.forget(processId);
    const never = {
      processId: "agent_never",
      sessionId: "s",
      workspacePath: "/",
      protocol: "stream-json",
      startedMs: 1,
    };
    await f.records.begin(never);
    const second = await nextLife();
    await until("it has ended", () => !isRunning(pid));
    for (const id of [processId, never.processId])
      assert.throws(() => second.agents.get(id), { type: "claude_process_unknown" });
    assert.ok(!f.records.all().some((record) => record.processId === never.processId));
  });

  async function usable(
    life: Life,
    processId: string,
    fake: Awaited<ReturnType<Fixture["start"]>>["fake"],
  ): Promise<void> {
    const next = life.relay(processId, "next", randomUUID());
    await fake.prompt(2);
    fake.claude.finish("usable");
    assert.equal((await next).text, "usable");
  }
  async function shimLeft(processId: string): Promise<boolean> {
    const fate = await f.runner.fate(processId, new AbortController().signal);
    if (fate.kind === "lives") fate.shim.detach();
    return fate.kind === "ended";
  }
  async function logHolds(processId: string, bytes: number): Promise<void> {
    await until("the log has it", async () => {
      const run = await f.runner.find(processId);
      const position = run?.output.position ?? 0;
      run?.detach();
      return position > bytes;
    });
  }
});
