import { randomUUID } from "node:crypto";
import { DatabaseSync, type StatementSync } from "node:sqlite";
import { migrations } from "./migrations.ts";

/**
 * The one SQLite database of the daemon (S5). All writes go through `write`, which groups everything that arrived in one
 * turn of the event loop into one transaction with one fsync; its promise resolves only after that fsync (S1).
 */
type Work = Readonly<{ run: () => unknown; resolve: (value: unknown) => void; reject: (error: unknown) => void }>;

export class Database implements Disposable {
  readonly #sqlite: DatabaseSync;
  readonly #statements = new Map<string, StatementSync>();
  /** Sequence numbers are comparable inside an epoch only (S3). */
  readonly epoch: string;
  #queue: Work[] = [];
  #scheduled = false;
  #open = true;

  constructor(path: string) {
    this.#sqlite = new DatabaseSync(path, { timeout: 5_000 });
    this.#sqlite.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;");
    this.#migrate();
    this.epoch = this.#loadEpoch();
  }

  /** Reads at once; for use inside `write` and for queries. Statements are prepared once. */
  prepare(sql: string): StatementSync {
    let statement = this.#statements.get(sql);
    if (statement === undefined) {
      statement = this.#sqlite.prepare(sql);
      this.#statements.set(sql, statement);
    }
    return statement;
  }

  /** Runs `work` in the next transaction; resolves with its result once that is durable. */
  write<T>(work: () => T): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    if (!this.#open) {
      reject(new Error("the database is closed"));
      return promise;
    }
    this.#queue.push({ run: work, resolve: resolve as (value: unknown) => void, reject });
    if (!this.#scheduled) {
      this.#scheduled = true;
      setImmediate(() => this.flush());
    }
    return promise;
  }

  /** Commits what is queued now instead of at the end of the turn. */
  flush(): void {
    this.#scheduled = false;
    const group = this.#queue;
    this.#queue = [];
    if (group.length === 0) return;
    if (!this.#commit(group) && group.length > 1) for (const work of group) this.#commit([work]);
  }

  [Symbol.dispose](): void {
    if (!this.#open) return;
    this.flush();
    this.#open = false;
    this.#sqlite.close();
  }

  /**
   * One transaction. When anything in it fails nothing of it has happened; a group is then repeated one by one, so that
   * one bad write cannot take its neighbours along. Answers whether it is committed or, for a single one, settled.
   */
  #commit(group: readonly Work[]): boolean {
    const results: unknown[] = [];
    try {
      this.#sqlite.exec("BEGIN IMMEDIATE");
      for (const work of group) results.push(work.run());
      this.#sqlite.exec("COMMIT");
    } catch (error) {
      this.#rollBack();
      if (group.length > 1) return false;
      group[0]?.reject(error);
      return true;
    }
    group.forEach((work, index) => work.resolve(results[index]));
    return true;
  }

  /** What cannot be rolled back now is before the next transaction begins: its BEGIN fails and leads here again (S4). */
  #rollBack(): void {
    try {
      if (this.#sqlite.isTransaction) this.#sqlite.exec("ROLLBACK");
    } catch {
      // The first error is the one that callers get.
    }
  }

  #migrate(): void {
    const { user_version: version } = this.#sqlite.prepare("PRAGMA user_version").get() as { user_version: number };
    if (version > migrations.length) {
      throw new Error(`the database is of a newer version (${version}) than this program knows (${migrations.length})`);
    }
    for (let step = version; step < migrations.length; step += 1) {
      this.#sqlite.exec(`BEGIN IMMEDIATE; ${migrations[step]}; PRAGMA user_version = ${step + 1}; COMMIT;`);
    }
  }

  #loadEpoch(): string {
    this.#sqlite.prepare("INSERT OR IGNORE INTO meta VALUES ('epoch', ?)").run(randomUUID());
    return (this.#sqlite.prepare("SELECT value FROM meta WHERE key = 'epoch'").get() as { value: string }).value;
  }
}
