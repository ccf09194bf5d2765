import { randomUUID } from "node:crypto";
import type { DatabaseSync, StatementSync } from "node:sqlite";
import { GroupCommit } from "@hl/core/store/group-commit.ts";
import { openDatabase } from "@hl/core/store/open-database.ts";
import { migrations } from "./migrations.ts";

/** The one SQLite database of the daemon (S5). All writes go through `write`, which resolves only after the fsync (S1). */
export class Database implements Disposable {
  readonly #sqlite: DatabaseSync;
  readonly #commit: GroupCommit;
  readonly #statements = new Map<string, StatementSync>();
  /** Sequence numbers are comparable inside an epoch only (S3). */
  readonly epoch: string;

  constructor(path: string) {
    this.#sqlite = openDatabase({ path, program: "hl-daemon", migrations });
    this.#commit = new GroupCommit(this.#sqlite);
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
    return this.#commit.run(work);
  }

  /** Commits what is queued now instead of at the end of the turn. */
  flush(): void {
    this.#commit.flush();
  }

  [Symbol.dispose](): void {
    if (!this.#sqlite.isOpen) return;
    this.#commit.flush();
    this.#sqlite.close();
  }

  #loadEpoch(): string {
    this.#sqlite.prepare("INSERT OR IGNORE INTO meta VALUES ('epoch', ?)").run(randomUUID());
    return (this.#sqlite.prepare("SELECT value FROM meta WHERE key = 'epoch'").get() as { value: string }).value;
  }
}
