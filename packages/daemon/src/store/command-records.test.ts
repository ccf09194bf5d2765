/** Goal: C1, P3: one record for each command id, of which the first end wins, and which a restart finds. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { temporaryFolder } from "@hl/testkit/programs.ts";
import { CommandRecords, type CommandRecord } from "./command-records.ts";
import { Database } from "./database.ts";

const record = (commandId: string, startedMs = 1): Omit<CommandRecord, "endedMs" | "ending"> => ({
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
    const found = { ...record("a"), endedMs: undefined, ending: undefined };
    assert.deepEqual(records.find("a"), found);
    assert.deepEqual(records.unfinished(), [found]);
    assert.equal(records.finishedCount(), 0);
    await records.end("a", 5, { reason: "exited" });
  });
  await opened(folder.path, async (records) => {
    assert.deepEqual(records.find("a"), { ...record("a"), endedMs: 5, ending: { reason: "exited" } });
    assert.deepEqual(records.unfinished(), []);
    assert.equal(records.finishedCount(), 1);
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
    await Promise.all([records.end("a", 5, { reason: "exited" }), records.end("a", 6, { reason: "unknown" })]);
    await records.abandon("a");
    assert.deepEqual(records.find("a")?.ending, { reason: "exited" });
    assert.equal(records.find("a")?.endedMs, 5);
    await records.begin(record("b"));
    await records.abandon("b");
    assert.equal(records.find("b"), undefined);
    await records.begin(record("b")); // The caller asks again.
  });
});

test("P7: the newest are listed, and what ended long ago is forgotten, never what runs", async () => {
  using folder = temporaryFolder("hl-records");
  await opened(folder.path, async (records) => {
    for (const [at, id] of ["a", "b", "c", "d"].entries()) await records.begin(record(id, at));
    await records.end("a", 30, {});
    await records.end("b", 10, {});
    await records.end("c", 20, {});
    assert.deepEqual(ids(records.newest(3)), ["d", "c", "b"]);
    assert.deepEqual(ids(records.endedBefore(30, 10)), ["b", "c"]);
    assert.deepEqual(ids(records.endedBefore(1_000, 2)), ["b", "c"]);
    await records.forget(["b", "c", "missing"]);
    assert.deepEqual(ids(records.newest(10)), ["d", "a"]);
  });
});
