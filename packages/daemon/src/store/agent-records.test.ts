/** Goal: P3, A2: what a restart finds of agents and their turns is what was said of them, and little of it is kept. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { temporaryFolder } from "@hl/testkit/programs.ts";
import { AgentRecords, turnsKeptMax, type TurnRecord } from "./agent-records.ts";
import { Database } from "./database.ts";

const agent = { processId: "a", sessionId: "s0", workspacePath: "/w", protocol: "stream-json", startedMs: 5 };
const turn = (uuid: string, beganAt: number, line?: Uint8Array): Omit<TurnRecord, "endedAt" | "outcome"> => ({
  ...{ processId: "a", uuid, relayId: uuid, lineHash: "h", lineBytes: 3, line, inputOffset: 7, beganAt },
});
const end = {
  uuid: "t1",
  outcome: "answered",
  turns: 1,
  sessionId: "s1",
  logPosition: 200,
  usage: { tool_calls: 2 },
} as const;

async function opened<T>(folder: string, act: (records: AgentRecords) => Promise<T>): Promise<T> {
  using database = new Database(join(folder, "daemon.db"));
  return await act(new AgentRecords(database));
}

test("P3: a restart finds an agent, its turn in flight and up to where its output is accounted for", async () => {
  using folder = temporaryFolder("hl-records");
  await opened(folder.path, async (records) => {
    await records.begin(agent);
    await records.ready("a", { readyMs: 6, pid: 42, sessionId: "session-a", agentVersion: "2" });
    await records.beginTurn(turn("t1", 100, Buffer.from("abc")), 1);
  });
  await opened(folder.path, async (records) => {
    const [found] = records.all();
    assert.deepEqual([found?.pid, found?.agentVersion, found?.turns, found?.logPosition], [42, "2", 0, 100]);
    assert.equal(found?.sessionId, "session-a", "the agent may have chosen its own");
    assert.equal(Buffer.from(records.openTurns("a")[0]?.line ?? []).toString(), "abc");
    await records.endTurn("a", end);
  });
  await opened(folder.path, async (records) => {
    assert.deepEqual(records.openTurns("a"), []);
    const found = records.findTurn("a", "t1");
    assert.deepEqual([found?.outcome, found?.endedAt, found?.line], ["answered", 200, undefined]);
    const [{ turns, sessionId, logPosition } = {}] = records.all();
    assert.deepEqual([turns, sessionId, logPosition], [1, "s1", 200]);
  });
});

test("P3: what was steered into a turn is found behind it, and does not account for the turn's output", async () => {
  using folder = temporaryFolder("hl-records");
  await opened(folder.path, async (records) => {
    await records.begin(agent);
    await records.beginTurn({ ...turn("t1", 100), inputOffset: 90 }, 1);
    await records.beginTurn({ ...turn("t2", 200), inputOffset: 1_000, steered: true }, 1);
  });
  await opened(folder.path, async (records) => {
    const open = records.openTurns("a").map(({ uuid, steered }) => [uuid, steered]);
    assert.deepEqual(open, [
      ["t1", false],
      ["t2", true],
    ]);
    assert.equal(records.all()[0]?.logPosition, 100);
    await records.end("a", 9, 137, "cut");
    assert.equal(records.findTurn("a", "t2")?.outcome, "cut");
  });
});

test("A2: the end of a turn is known at once, and an agent's end cuts the turn in flight", async () => {
  using folder = temporaryFolder("hl-records");
  await opened(folder.path, async (records) => {
    await records.begin(agent);
    await records.beginTurn(turn("t1", 0), 1);
    const stored = records.endTurn("a", end);
    assert.equal(records.findTurn("a", "t1")?.outcome, "answered", "before it is stored");
    await stored;
    await records.beginTurn(turn("t2", 300), 2);
    const ended = records.end("a", 9, 137, "cut");
    assert.equal(records.findTurn("a", "t2")?.outcome, "cut", "before it is written");
    await ended;
    await records.end("a", 10, 0, "cut");
    assert.equal(records.findTurn("a", "t2")?.outcome, "cut");
    const [{ endedMs, exitCode } = {}] = records.all();
    assert.deepEqual([endedMs, exitCode], [9, 137], "the first end wins");
    await records.forget("a");
    assert.deepEqual([records.all(), records.findTurn("a", "t1")], [[], undefined]);
  });
});

test("P7: of turns the newest are kept, and one that was never sent is forgotten", async () => {
  using folder = temporaryFolder("hl-records");
  await opened(folder.path, async (records) => {
    await records.begin(agent);
    await records.beginTurn(turn("t1", 0), 1);
    await records.endTurn("a", end);
    await records.beginTurn(turn("t2", 0), turnsKeptMax + 1);
    assert.equal(records.findTurn("a", "t1"), undefined);
    await records.dropTurn("a", "t2");
    assert.equal(records.findTurn("a", "t2"), undefined);
  });
});

test("what an agent has used is stored with the end of a turn, and stays in the sum of all when it is forgotten", async () => {
  using folder = temporaryFolder("hl-records");
  await opened(folder.path, async (records) => {
    for (const processId of ["a", "b"]) {
      await records.begin({ ...agent, processId });
      await records.endTurn(processId, { ...end, uuid: undefined });
    }
  });
  await opened(folder.path, async (records) => {
    assert.deepEqual(
      records.all().map(({ usage }) => usage),
      [{ tool_calls: 2 }, { tool_calls: 2 }],
    );
    assert.deepEqual(records.forgottenUsage, {});
    await records.forget("a");
    await records.forget("a");
    assert.deepEqual(records.forgottenUsage, { tool_calls: 2 });
    await records.forget("b");
  });
  await opened(folder.path, async (records) => {
    assert.deepEqual([records.forgottenUsage, records.all()], [{ tool_calls: 4 }, []]);
  });
});
