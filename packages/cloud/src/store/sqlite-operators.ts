import type { DatabaseSync, StatementSync } from "node:sqlite";
import type { GroupCommit } from "@hl/core/store/group-commit.ts";
import type { OperatorRecord, OperatorStore } from "./store.ts";

export class SqliteOperators implements OperatorStore {
  readonly #commit: GroupCommit;
  readonly #add: StatementSync;
  readonly #replace: StatementSync;
  readonly #byTokenHash: StatementSync;

  constructor(database: DatabaseSync, commit: GroupCommit) {
    this.#commit = commit;
    const columns = "operators (name, role, token_hash, created_at_ms) values (?, ?, ?, ?)";
    this.#add = database.prepare(`insert into ${columns} on conflict (name) do nothing`);
    this.#replace = database.prepare(`insert or replace into ${columns}`);
    this.#byTokenHash = database.prepare("select * from operators where token_hash = ?");
  }

  add(operator: OperatorRecord, replace: boolean): Promise<boolean> {
    const statement = replace ? this.#replace : this.#add;
    const { name, role, tokenHash, createdAtMs } = operator;
    return this.#commit.run(() => statement.run(name, role, tokenHash, Math.round(createdAtMs)).changes > 0);
  }

  async byTokenHash(tokenHash: string): Promise<OperatorRecord | undefined> {
    const row = this.#byTokenHash.get(tokenHash) as
      { name: string; role: string; token_hash: string; created_at_ms: number } | undefined;
    if (row === undefined) return undefined;
    return { name: row.name, role: row.role, tokenHash: row.token_hash, createdAtMs: row.created_at_ms };
  }
}
