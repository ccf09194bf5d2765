/**
 * Goal: P3, A2: whether the agent has a line is known exactly after a crash, a line that was cut is completed, and lines are never mixed.
 * Method: the real hl-runner holds a program that copies its standard input to a file; another connection is the next daemon.
 */
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { until } from "@hl/testkit/waiting.ts";
import type { Run } from "../runner/run.ts";
import type { TurnRecord } from "../store/agent-records.ts";
import { AgentInput, type MessageEnd } from "./agent-input.ts";
import { setUpAgents, type Fixture } from "./agents.fixture.test.ts";
import { Turn } from "./turn-queue.ts";

const uuid = "11111111-1111-4111-8111-111111111111";

describe("the agent's input", () => {
  let f: Fixture;
  const runs = new Set<Run>();
  before(async () => void (f = await setUpAgents()));
  after(async () => {
    for (const run of runs) run.detach();
    await f[Symbol.asyncDispose]();
  });

  const copier = async (id: string): Promise<{ run: Run; copied: () => string }> => {
    const file = join(f.root, id);
    const run = await f.runner.start({
      ...{ id, argv: ["/bin/sh", "-c", `exec cat > ${file}`], env: { PATH: "/usr/bin:/bin" }, cwd: f.root },
      ...{ stdin: "pipe", graceMs: 1_000, openFilesMax: 64, logBytesMax: 1_048_576 },
    });
    runs.add(run);
    return { run, copied: () => (existsSync(file) ? readFileSync(file, "utf8") : "") };
  };
  const inputOf = (run: Run, torn: string[] = [], messageEnd?: MessageEnd): AgentInput =>
    new AgentInput({
      ...{ processId: run.id, run, records: f.records, turns: () => 0, logPosition: () => 0, messageEnd },
      onTurn: () => {},
      onTornTurn: (turn) => void torn.push(turn.uuid),
    });
  const nextDaemons = async (id: string): Promise<Run> => {
    for (const run of runs) if (run.id === id) run.detach();
    const run = await f.runner.find(id);
    assert.ok(run);
    runs.add(run);
    return run;
  };
  const record = (line: string, inputOffset: number): TurnRecord => ({
    ...{
      processId: "p",
      uuid,
      relayId: uuid,
      lineHash: "",
      line: Buffer.from(line),
      lineBytes: Buffer.byteLength(line),
    },
    ...{ inputOffset, beganAt: 0, endedAt: undefined, outcome: undefined },
  });

  test("P3: of a line that was cut, the next daemon writes the rest and nothing twice", async () => {
    const { run, copied } = await copier("cut");
    const line = `${"0123456789".repeat(300_000)}\n`;
    await run.input(Buffer.from("before\n"));
    await run.input(Buffer.from(line).subarray(0, 1024 * 1024));
    const next = await nextDaemons("cut");
    const input = inputOf(next);
    assert.equal(await input.settle(record(line, 7)), "sent");
    await input.write("behind\n"); // In order: not before the rest.
    await until("all is copied, in order", () => copied() === `before\n${line}behind\n`);
  });

  test("A2: the shim's count tells a line that arrived from one that did not; without it nothing is claimed", async () => {
    const { run } = await copier("count");
    await run.input(Buffer.from("0123456789\n"));
    const next = await nextDaemons("count");
    assert.equal(await inputOf(next).settle(record("56789\n", 5)), "sent");
    assert.equal(await inputOf(next).settle(record("next\n", 11)), "unsent");
    next.stop("cancelled", 0);
    await next.empty;
    next.release();
    await until("the shim has left", async () => (await next.inputOffset()) === undefined);
    assert.equal(await inputOf(next).settle(record("next\n", 11)), "unknown");
  });

  test("a control message that comes while a long line is under way goes behind it, not into it", async () => {
    const { run, copied } = await copier("order");
    const input = inputOf(run);
    const turn = new Turn(uuid, uuid, `${"x".repeat(3_000_000)}\n`);
    const [long, short] = [input.writeTurn(turn), input.write("ping\n")];
    await Promise.all([long, short]);
    await until("all is copied, in order", () => copied() === `${turn.line}ping\n`);
    assert.equal(f.records.findTurn("order", uuid)?.line?.length, turn.line.length);
  });

  test("P3: messageEnd is what ends a line, and counts with it", async () => {
    const { run, copied } = await copier("ends");
    const input = inputOf(run, [], "\r\n");
    await input.write("ping\n");
    const turn = new Turn(uuid, uuid, '{"text":"a\\nb"}\n');
    await input.writeTurn(turn);
    await until("both are copied", () => copied() === 'ping\r\n{"text":"a\\nb"}\r\n');
    const recorded = f.records.findTurn("ends", uuid);
    assert.ok(recorded);
    assert.equal(recorded.lineBytes, turn.line.length + 1);
    assert.equal(await inputOf(await nextDaemons("ends")).settle(recorded), "sent");
  });

  test("a control message that could be cut is refused, and of a turn that cannot be recorded nothing is written", async () => {
    const { run, copied } = await copier("refused");
    const input = inputOf(run);
    await assert.rejects(input.write(`${"x".repeat(1024 * 1024)}\n`), /1048577 bytes/);
    await f.database.write(() =>
      f.database
        .prepare("CREATE TRIGGER full BEFORE INSERT ON agent_turns BEGIN SELECT RAISE(ABORT, 'full'); END")
        .run(),
    );
    const turn = new Turn(uuid, uuid, "hello\n");
    await assert.rejects(input.writeTurn(turn), { name: "AgentFailure", kind: "not_recorded", facts: { sent: false } });
    await f.database.write(() => f.database.prepare("DROP TRIGGER full").run());
    await input.write("usable\n");
    await until("only that is copied", () => copied() === "usable\n");
  });
});
