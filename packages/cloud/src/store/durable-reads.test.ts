/** Goal: S1: no reader is told of an event before the disk has it. Method: the real SQLite; a log whose syncs end when the test says so. */
import assert from "node:assert/strict";
import { join } from "node:path";
import test from "node:test";
import { GroupCommit } from "@hl/core/store/group-commit.ts";
import { openDatabase } from "@hl/core/store/open-database.ts";
import { settled } from "@hl/testkit/manual-clock.ts";
import { temporaryFolder } from "@hl/testkit/programs.ts";
import { DurableEvents } from "./durable-reads.ts";
import { migrations } from "./migrations/migrations.ts";

test("S1: an event that is committed and not yet synced is read only after a sync; what is durable is read at once", async () => {
  using folder = temporaryFolder("hl-durable-reads");
  using database = openDatabase({ path: join(folder.path, "cloud.db"), program: "test", migrations });
  const syncs: PromiseWithResolvers<undefined>[] = [];
  const sync = (): Promise<undefined> => {
    const one = Promise.withResolvers<undefined>();
    syncs.push(one);
    return one.promise;
  };
  const commit = new GroupCommit(database, { log: { sync, syncNow: () => {}, renew: () => {} } });
  const events = new DurableEvents(database, commit);
  const event = {
    instanceId: "vm-1",
    eventId: "e-1",
    epoch: "e",
    seq: 1,
    lane: undefined,
    receivedAtMs: 1,
    body: "{}",
  };
  const appended = events.append(event);
  while (syncs.length === 0) await settled();
  let answered = 0;
  const reads = [events.after("vm-1", 0, 10, 1e6), events.cursorBefore("vm-1", 0)];
  for (const read of reads) void read.then(() => (answered += 1));
  await settled();
  assert.equal(answered, 0);
  syncs[0]!.resolve(undefined);
  await appended;
  while (syncs.length === 1) await settled();
  assert.equal(answered, 0); // Told when the sync is over that was begun after the read.
  syncs[1]!.resolve(undefined);
  assert.deepEqual(
    (await Promise.all(reads)).map((read) => (typeof read === "number" ? read : read[0]?.row)),
    [1, 1],
  );
  await events.after("vm-1", 0, 10, 1e6);
  assert.equal(syncs.length, 2);
});
