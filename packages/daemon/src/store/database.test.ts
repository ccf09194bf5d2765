/**
 * Goal: S1, S5: what a write promised is durable when the promise resolves, writes of one turn share a transaction, and one bad
 * write takes nobody along. Method: real files; a second connection, which sees only what is committed, is asked at each step.
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { describe, test } from "node:test";
import { temporaryFolder } from "@hl/testkit/programs.ts";
import { Database } from "./database.ts";
import { migrations } from "./migrations.ts";

interface Fixture extends Disposable {
  readonly path: string;
  readonly database: Database;
  /** What another process would find after a crash at this moment. */
  committed(): string[];
  insert(key: string): () => void;
}

function fixture(): Fixture {
  const folder = temporaryFolder("hl-database");
  const path = join(folder.path, "daemon.db");
  const database = new Database(path);
  const other = new DatabaseSync(path, { readOnly: true });
  return {
    path,
    database,
    committed: () =>
      other
        .prepare("SELECT key FROM meta WHERE key <> 'epoch' ORDER BY key")
        .all()
        .map((row) => row["key"] as string),
    insert: (key) => () => void database.prepare("INSERT INTO meta VALUES (?, '')").run(key),
    [Symbol.dispose]: () => {
      other.close();
      database[Symbol.dispose]();
      folder[Symbol.dispose]();
    },
  };
}

describe("database: group commit", () => {
  test("S1: a promise resolves only after COMMIT, and everything of one turn is one transaction", async () => {
    using f = fixture();
    const seen: string[][] = [];
    const writes = ["a", "b", "c"].map((key) => f.database.write(f.insert(key)).then(() => seen.push(f.committed())));
    assert.deepEqual(f.committed(), []); // Nothing has run yet: the turn is not over.
    await Promise.all(writes);
    const all = ["a", "b", "c"];
    assert.deepEqual(seen, [all, all, all]);
  });

  test("S5: a write that fails gets its own error, has no effect, and takes none of its neighbours along", async () => {
    using f = fixture();
    const own = new Error("mine");
    const results = await Promise.allSettled([
      f.database.write(() => (f.insert("a")(), 1)),
      f.database.write(() => {
        f.insert("half")();
        throw own;
      }),
      f.database.write(f.insert("a")), // The same key again.
      f.database.write(() => (f.insert("b")(), 2)),
    ]);
    assert.deepEqual(
      results.map((result) => (result.status === "fulfilled" ? result.value : "failed")),
      [1, "failed", "failed", 2],
    );
    assert.equal((results[1] as PromiseRejectedResult).reason, own);
    assert.match(String((results[2] as PromiseRejectedResult).reason), /UNIQUE/);
    assert.deepEqual(f.committed(), ["a", "b"]);
  });

  test("S5: a write that wraps itself in COMMIT fails alone and leaves a database that works", async () => {
    using f = fixture();
    const odd = f.database.write(() => f.database.prepare("COMMIT").run());
    await assert.rejects(odd);
    await f.database.write(f.insert("later"));
    assert.deepEqual(f.committed(), ["later"]);
  });

  test("S4: while another process holds the lock a write fails with the reason, and the next one works", async () => {
    using f = fixture();
    f.database.prepare("PRAGMA busy_timeout = 0").get();
    using blocker = new DatabaseSync(f.path);
    blocker.exec("BEGIN IMMEDIATE");
    await assert.rejects(f.database.write(f.insert("a")), /locked/);
    blocker.exec("ROLLBACK");
    await f.database.write(f.insert("b"));
    assert.deepEqual(f.committed(), ["b"]);
  });

  test("S1: closing commits what is queued; after it a write is refused", async () => {
    using f = fixture();
    const queued = f.database.write(f.insert("last"));
    f.database[Symbol.dispose]();
    f.database[Symbol.dispose](); // Idempotent.
    await queued;
    assert.deepEqual(f.committed(), ["last"]);
    await assert.rejects(f.database.write(f.insert("late")), /closed/);
  });

  test("S5: a write made from the result of another lands in a later transaction", async () => {
    using f = fixture();
    await f.database.write(f.insert("a"));
    await f.database.write(f.insert("b"));
    assert.deepEqual(f.committed(), ["a", "b"]);
  });
});

describe("database: versions and epoch", () => {
  test("S3: the epoch is made once and stays with the file", () => {
    using folder = temporaryFolder("hl-database");
    const epoch = (name: string): string => {
      using database = new Database(join(folder.path, name));
      return database.epoch;
    };
    assert.match(epoch("a.db"), /^[0-9a-f-]{36}$/);
    assert.equal(epoch("a.db"), epoch("a.db"));
    assert.notEqual(epoch("a.db"), epoch("b.db"));
  });

  test("S1: SQLite is asked for a log and for syncs around checkpoints; those of the log are ours (group-commit.test.ts)", () => {
    using f = fixture();
    assert.deepEqual({ ...f.database.prepare("PRAGMA journal_mode").get() }, { journal_mode: "wal" });
    assert.deepEqual({ ...f.database.prepare("PRAGMA synchronous").get() }, { synchronous: 1 });
  });

  test("a database of a newer version is refused and left alone", () => {
    using folder = temporaryFolder("hl-database");
    const path = join(folder.path, "daemon.db");
    {
      using database = new Database(path);
      assert.equal(database.prepare("PRAGMA user_version").get()?.["user_version"], migrations.length);
    }
    const newer = migrations.length + 1;
    {
      using raw = new DatabaseSync(path);
      raw.exec(`PRAGMA user_version = ${newer}`);
    }
    assert.throws(
      () => new Database(path),
      new RegExp(`newer hl-daemon \\(schema ${newer}, this one knows ${migrations.length}\\)`),
    );
    using raw = new DatabaseSync(path);
    assert.equal(raw.prepare("PRAGMA user_version").get()?.["user_version"], newer);
  });
});
