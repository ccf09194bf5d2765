/**
 * Goal: S1, S5: nobody is answered before the disk has it, the event loop goes on meanwhile, and few syncs carry many writes.
 * Method: the real SQLite on a real file; a log whose syncs end when the test says so, and the real one at the end.
 */
import assert from "node:assert/strict";
import { copyFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import test, { type TestContext } from "node:test";
import { ManualClock } from "@hl/testkit/manual-clock.ts";
import { temporaryFolder } from "@hl/testkit/programs.ts";
import { GroupCommit } from "./group-commit.ts";
import { LogFile, type DurableLog } from "./log-file.ts";
import { openDatabase } from "./open-database.ts";

/** Syncs that end when the test says so. */
class SlowLog implements DurableLog {
  readonly syncs: PromiseWithResolvers<undefined>[] = [];
  syncedNow = 0;
  renew = (): void => {};
  readonly #waiting: (() => void)[] = [];

  sync(): Promise<undefined> {
    const one = Promise.withResolvers<undefined>();
    this.syncs.push(one);
    for (const wake of this.#waiting.splice(0)) wake();
    return one.promise;
  }

  syncNow(): void {
    this.syncedNow += 1;
  }

  /** Waits until the sync with this number has begun. */
  async begun(number: number): Promise<PromiseWithResolvers<undefined>> {
    while (this.syncs.length < number) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    return this.syncs[number - 1]!;
  }
}

function openFile(t: TestContext): { database: DatabaseSync; path: string } {
  const folder = temporaryFolder("hl-group-commit");
  const path = join(folder.path, "test.db");
  const database = openDatabase({ path, program: "test", migrations: ["CREATE TABLE notes (text TEXT PRIMARY KEY)"] });
  t.after(() => {
    if (database.isOpen) database.close();
    folder[Symbol.dispose]();
  });
  return { database, path };
}

const put = (database: DatabaseSync, text: string) => (): void => {
  database.prepare("INSERT INTO notes VALUES (?)").run(text);
};
const notes = (database: DatabaseSync): unknown[] =>
  database
    .prepare("SELECT text FROM notes ORDER BY text")
    .all()
    .map((row) => row["text"]);

test("S1: a write is answered only after the disk has it, and the event loop goes on meanwhile", async (t) => {
  const { database } = openFile(t);
  const log = new SlowLog();
  const commit = new GroupCommit(database, { log });
  let answered = false;
  const written = commit.run(put(database, "a")).then(() => (answered = true));
  const sync = await log.begun(1);
  await new Promise(setImmediate);
  assert.equal(answered, false);
  sync.resolve(undefined);
  await written;
});

test("a write that has to outlive this program only is answered at the commit, in the order of the calls, and synced behind it", async (t) => {
  const { database } = openFile(t);
  const log = new SlowLog();
  const commit = new GroupCommit(database, { log });
  const soon = commit.run(put(database, "a"), "soon");
  await commit.run(put(database, "b"), "committed");
  assert.deepEqual(notes(database), ["a", "b"]);
  (await log.begun(1)).resolve(undefined); // It was not waited for.
  await soon;
  const refused = assert.rejects(commit.run(put(database, "b"), "committed"), /UNIQUE/);
  (await log.begun(2)).resolve(undefined);
  await refused;
});

test("who waits for the commit alone goes on before the log is handed to another thread", async (t) => {
  const { database, path } = openFile(t);
  using log = new LogFile(database, path);
  const commit = new GroupCommit(database, { log });
  const isHandedOver = (): boolean => process.getActiveResourcesInfo().includes("FSReqCallback");
  const written = commit.run(put(database, "a"));
  await commit.run(put(database, "b"), "committed");
  for (let step = 0; step < 100; step += 1) await Promise.resolve();
  assert.equal(isHandedOver(), false);
  await new Promise<void>((resolve) => process.nextTick(resolve));
  await Promise.resolve();
  assert.equal(isHandedOver(), true);
  await written;
});

test("S5: what arrives while the disk is busy becomes one transaction with one sync", async (t) => {
  const { database } = openFile(t);
  const log = new SlowLog();
  const commit = new GroupCommit(database, { log });
  const first = commit.run(put(database, "a"));
  const sync = await log.begun(1);
  const rest = ["b", "c", "d"].map((text) => commit.run(put(database, text)));
  sync.resolve(undefined);
  await first;
  (await log.begun(2)).resolve(undefined);
  await Promise.all(rest);
  assert.equal(log.syncs.length, 2);
});

test("a write that nobody waits for shares the next transaction, in the order of the calls", async (t) => {
  const { database } = openFile(t);
  const clock = new ManualClock();
  const commit = new GroupCommit(database, { clock });
  const order: string[] = [];
  const note = (name: string) => (): void => void order.push(name);
  await Promise.all([commit.run(note("soon"), "soon"), commit.run(note("now")), commit.run(note("later"), "soon")]);
  assert.deepEqual(order, ["soon", "now", "later"]);
  assert.equal(clock.timers, 0);
});

test("a write that goes ahead takes nothing along that is only due soon, and holds nothing of it back for longer", async (t) => {
  const { database } = openFile(t);
  const clock = new ManualClock();
  const commit = new GroupCommit(database, { clock });
  const order: string[] = [];
  const note = (name: string) => (): void => void order.push(name);
  const soon = commit.run(note("soon"), "soon");
  await Promise.all([commit.run(note("ahead"), "ahead"), commit.run(note("ahead too"), "ahead")]);
  assert.deepEqual(order, ["ahead", "ahead too"]);
  await clock.advance(10);
  await soon;
  // Beside one that somebody waits for, everything keeps its place.
  const all = [commit.run(note("1"), "soon"), commit.run(note("2"), "ahead"), commit.run(note("3"))];
  await Promise.all(all);
  assert.deepEqual(order.slice(2), ["soon", "1", "2", "3"]);
  assert.equal(clock.timers, 0);
});

test("a write that nobody waits for is not held back for long when no other comes", async (t) => {
  const { database } = openFile(t);
  const clock = new ManualClock();
  const commit = new GroupCommit(database, { clock });
  const written = commit.run(() => "done", "soon");
  await clock.advance(10);
  assert.equal(await written, "done");
});

test("S1: after a failed sync its writes are refused, and the log begins anew before the next is built on it", async (t) => {
  const { database, path } = openFile(t);
  const log = new SlowLog();
  using file = new LogFile(database, path);
  log.renew = () => file.renew();
  const commit = new GroupCommit(database, { log });
  const failed = commit.run(put(database, "a"));
  (await log.begun(1)).reject(new Error("EIO"));
  await assert.rejects(failed, /EIO/);
  const next = commit.run(put(database, "b"));
  (await log.begun(2)).resolve(undefined);
  await next;
  // What the failed sync may have lost lies in the main file now, and only what came later in the log.
  copyFileSync(path, `${path}.copy`);
  using withoutLog = new DatabaseSync(`${path}.copy`);
  assert.deepEqual([notes(withoutLog), notes(database)], [["a"], ["a", "b"]]);
});

test("S5: what is derived from rows is derived again after a failed sync, before the next write and not before it can be relied on", async (t) => {
  const { database } = openFile(t);
  const log = new SlowLog();
  const seen: unknown[] = [];
  const commit = new GroupCommit(database, { log, onRenewed: () => seen.push(notes(database)) });
  const failed = commit.run(put(database, "a"));
  (await log.begun(1)).reject(new Error("EIO"));
  await assert.rejects(failed, /EIO/);
  log.renew = () => {
    throw new Error("EIO again");
  };
  const refused = commit.run(put(database, "b"));
  (await log.begun(2)).resolve(undefined);
  await assert.rejects(refused, /EIO again/);
  assert.deepEqual(seen, []);
  log.renew = () => {};
  const taken = [commit.run(put(database, "c")), commit.run(put(database, "d"))];
  (await log.begun(3)).resolve(undefined);
  await Promise.all(taken);
  const last = commit.run(put(database, "e"));
  (await log.begun(4)).resolve(undefined);
  await last;
  assert.deepEqual(seen, [["a"]]);
});

test("S4: while the log cannot begin anew, writes are refused with the reason, and taken again when it can", async (t) => {
  const { database } = openFile(t);
  const log = new SlowLog();
  const commit = new GroupCommit(database, { log });
  const failed = commit.run(put(database, "a"));
  (await log.begun(1)).reject(new Error("EIO"));
  await assert.rejects(failed, /EIO/);
  log.renew = () => {
    throw new Error("disk is full");
  };
  const refused = commit.run(put(database, "b"));
  (await log.begun(2)).resolve(undefined);
  await assert.rejects(refused, /disk is full/);
  log.renew = () => {};
  const taken = commit.run(put(database, "c"));
  (await log.begun(3)).resolve(undefined);
  await taken;
  assert.deepEqual(notes(database), ["a", "c"]);
});

test("flush makes durable what is queued and what is being synced, also what nobody waits for", async (t) => {
  const { database } = openFile(t);
  const log = new SlowLog();
  const commit = new GroupCommit(database, { log, clock: new ManualClock() });
  const first = commit.run(put(database, "a"));
  const sync = await log.begun(1);
  const rest = [commit.run(put(database, "b"), "soon"), commit.run(put(database, "c"))];
  commit.flush();
  await Promise.all(rest);
  assert.equal(log.syncedNow, 1);
  database.close();
  sync.resolve(undefined);
  await first;
  await assert.rejects(
    commit.run(() => {}),
    /closed/,
  );
});

test("S1: the real log is synced while the database goes on, also when it is closed meanwhile", async (t) => {
  const { database, path } = openFile(t);
  const file = new LogFile(database, path);
  const commit = new GroupCommit(database, { log: file });
  await commit.run(put(database, "a"));
  const last = commit.run(put(database, "b"));
  commit.flush();
  const syncing = file.sync();
  database.close();
  file[Symbol.dispose]();
  file[Symbol.dispose]();
  await Promise.all([last, syncing]);
  using again = new DatabaseSync(path);
  assert.deepEqual(notes(again), ["a", "b"]);
});
