/** Goal: C1, P3: one record for each command id, of which the first end wins, and which a restart finds. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { temporaryFolder } from "@hl/testkit/programs.ts";
import { CommandRecords, type CommandRecord } from "./command-records.ts";
import { Database } from "./database.ts";

const record = (commandId: string, startedMs = 1): Omit<CommandRecord, "endedMs" | "ending" | "logBytes"> => ({
  commandId,
  runId: `run-${commandId}`,
  paramsHash: "h",
  command: "echo",
  args: ["a b", "é\n"],
  bootId: "boot",
  startedMs,
});

const ids = (records: readonly CommandRecord[]): string[] => records.map(({ commandId }) => commandId);

async function opened<T>(folder: string, act: (records: CommandRecords) => Promise<T>): Promise<T> {
  using database = new Database(join(folder, "daemon.db"));
  return await act(new CommandRecords(database));
}

test("P3: a record is found after a restart as it was, unfinished until its end is stored", async () => {
  using folder = temporaryFolder("hl-records");
  await opened(folder.path, (records) => records.begin(record("a")));
  await opened(folder.path, async (records) => {
    const found = { ...record("a"), endedMs: undefined, ending: undefined, logBytes: 0 };
    assert.deepEqual(records.find("a"), found);
    assert.deepEqual(records.unfinished(), [found]);
    assert.deepEqual(records.finished, { count: 0, logBytes: 0 });
    await records.end("a", 5, { reason: "exited" }, 70);
  });
  await opened(folder.path, async (records) => {
    assert.deepEqual(records.find("a"), { ...record("a"), endedMs: 5, ending: { reason: "exited" }, logBytes: 70 });
    assert.deepEqual(records.unfinished(), []);
    assert.deepEqual(records.finished, { count: 1, logBytes: 70 });
    assert.deepEqual(records.commandIdsByRun(), new Map([["run-a", "a"]]));
    assert.equal(records.find("b"), undefined);
  });
});

test("C1: the same id again is refused, also when both come in one turn, and the first stays as it is", async () => {
  using folder = temporaryFolder("hl-records");
  await opened(folder.path, async (records) => {
    const both = await Promise.allSettled([records.begin(record("a", 1)), records.begin(record("a", 2))]);
    assert.deepEqual(
      both.map(({ status }) => status),
      ["fulfilled", "rejected"],
    );
    assert.equal(records.find("a")?.startedMs, 1);
  });
});

test("P2: the first end wins, and what has ended cannot be abandoned", async () => {
  using folder = temporaryFolder("hl-records");
  await opened(folder.path, async (records) => {
    await records.begin(record("a"));
    await Promise.all([records.end("a", 5, { reason: "exited" }, 1), records.end("a", 6, { reason: "unknown" }, 2)]);
    await records.abandon("a");
    assert.deepEqual(records.find("a")?.ending, { reason: "exited" });
    assert.equal(records.find("a")?.endedMs, 5);
    assert.deepEqual(records.finished, { count: 1, logBytes: 1 });
    await records.begin(record("b"));
    await records.abandon("b");
    assert.equal(records.find("b"), undefined);
    await records.begin(record("b")); // The caller asks again.
  });
});

test("P7: the newest are listed, the oldest ends walked through and forgotten, never what runs; the figures follow", async () => {
  using folder = temporaryFolder("hl-records");
  await opened(folder.path, async (records) => {
    for (const [at, id] of ["a", "b", "c", "d"].entries()) await records.begin(record(id, at));
    await records.end("a", 30, {}, 3);
    await records.end("b", 10, {}, 1);
    await records.end("c", 10, {}, 2);
    assert.deepEqual(ids(records.newest(3)), ["d", "c", "b"]);
    assert.deepEqual(ids(records.oldest(10)), ["b", "c", "a"]);
    assert.deepEqual(ids(records.oldest(1, { endedMs: 10, commandId: "b" })), ["c"]);
    assert.deepEqual(ids(records.oldest(10, { endedMs: 10, commandId: "c" })), ["a"]);
    await records.grow("a", 13);
    await records.grow("d", 5); // It runs: its end will say it.
    assert.deepEqual(records.finished, { count: 3, logBytes: 16 });
    await records.forget(["b", "c", "d", "missing"]);
    assert.deepEqual(ids(records.newest(10)), ["d", "a"]);
    assert.deepEqual(records.finished, { count: 1, logBytes: 13 });
  });
  await opened(folder.path, async (records) => assert.deepEqual(records.finished, { count: 1, logBytes: 13 }));
});
