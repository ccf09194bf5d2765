import { randomUUID } from "node:crypto";
import type { DatabaseSync, StatementSync } from "node:sqlite";
import type { Clock } from "@hl/core/clock.ts";
import { GroupCommit, type Urgency } from "@hl/core/store/group-commit.ts";
import { LogFile } from "@hl/core/store/log-file.ts";
import { openDatabase } from "@hl/core/store/open-database.ts";
import { migrations } from "./migrations.ts";

/**
 * The one SQLite database of the daemon (S5). All writes go through `write`, which resolves only after the sync (S1); reads see
 * what is committed, which may be a little more than what is durable.
 */
export class Database implements Disposable {
  readonly #sqlite: DatabaseSync;
  readonly #log: LogFile;
  readonly #commit: GroupCommit;
  readonly #statements = new Map<string, StatementSync>();
  #epoch: string;

  constructor(path: string, clock?: Pick<Clock, "after">) {
    this.#sqlite = openDatabase({ path, program: "hl-daemon", migrations });
    this.#epoch = this.#loadEpoch();
    this.#log = new LogFile(this.#sqlite, path);
    this.#commit = new GroupCommit(this.#sqlite, { log: this.#log, clock });
  }

  /** Sequence numbers are comparable inside an epoch only (S3). */
  get epoch(): string {
    return this.#epoch;
  }

  /** Resolves when the new epoch is durable; `alongside` is part of the same transaction. */
  async beginEpoch(alongside: () => void): Promise<void> {
    const epoch = randomUUID();
    await this.write(() => {
      this.prepare("UPDATE meta SET value = ? WHERE key = 'epoch'").run(epoch);
      alongside();
    });
    this.#epoch = epoch;
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
  write<T>(work: () => T, urgency?: Urgency): Promise<T> {
    return this.#commit.run(work, urgency);
  }

  [Symbol.dispose](): void {
    if (!this.#sqlite.isOpen) return;
    this.#commit.flush();
    this.#sqlite.close();
    this.#log[Symbol.dispose]();
  }

  #loadEpoch(): string {
    this.#sqlite.prepare("INSERT OR IGNORE INTO meta VALUES ('epoch', ?)").run(randomUUID());
    return (this.#sqlite.prepare("SELECT value FROM meta WHERE key = 'epoch'").get() as { value: string }).value;
  }
}
