import type { DatabaseSync } from "node:sqlite";

/**
 * Groups writes: everything that was asked for in one turn of the event loop shares one transaction and one fsync (S5).
 * A write is a function without effects outside the database, because it may be run again: when anything in a group fails
 * nothing of it has happened, and its writes are repeated one by one, so that a bad one cannot take its neighbours along.
 */
export class GroupCommit {
  readonly #database: DatabaseSync;
  #queue: Write[] = [];
  #scheduled = false;

  constructor(database: DatabaseSync) {
    this.#database = database;
  }

  /** Runs `write` in the next transaction; resolves with its answer once that is durable. */
  run<T>(write: () => T): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    if (!this.#database.isOpen) {
      reject(new Error("the database is closed"));
      return promise;
    }
    this.#queue.push({ run: write, resolve: resolve as (value: unknown) => void, reject });
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
    if (!this.#commit(group)) for (const write of group) this.#commit([write]);
  }

  /** One transaction. Answers false when a group failed and its writes are to be tried one by one. */
  #commit(group: readonly Write[]): boolean {
    const results: unknown[] = [];
    try {
      this.#database.exec("BEGIN IMMEDIATE");
      for (const write of group) results.push(write.run());
      this.#database.exec("COMMIT");
    } catch (error) {
      this.#rollBack();
      if (group.length > 1) return false;
      group[0]?.reject(error);
      return true;
    }
    group.forEach((write, index) => write.resolve(results[index]));
    return true;
  }

  /** What cannot be rolled back now is before the next transaction begins: its BEGIN fails and leads here again (S4). */
  #rollBack(): void {
    try {
      if (this.#database.isTransaction) this.#database.exec("ROLLBACK");
    } catch {
      // The first error is the one that callers get.
    }
  }
}

type Write = Readonly<{ run: () => unknown; resolve: (value: unknown) => void; reject: (error: unknown) => void }>;
