import type { DatabaseSync, StatementSync } from "node:sqlite";
import { optional } from "./columns.ts";
import type { GroupCommit } from "@hl/core/store/group-commit.ts";
import type { RequestRecord, RequestState, RequestStore } from "./store.ts";

interface Row {
  id: string;
  instance_id: string;
  operator: string;
  method: string;
  params: string;
  state: RequestState;
  created_at_ms: number;
  settled_at_ms: number | null;
  answer: string | null;
}

export class SqliteRequests implements RequestStore {
  readonly #commit: GroupCommit;
  readonly #add: StatementSync;
  readonly #markSent: StatementSync;
  readonly #settle: StatementSync;
  readonly #get: StatementSync;
  readonly #unsettled: StatementSync;
  readonly #unsettledBefore: StatementSync;
  readonly #prune: StatementSync;

  constructor(database: DatabaseSync, commit: GroupCommit) {
    this.#commit = commit;
    this.#add = database.prepare(
      "insert into requests (id, instance_id, operator, method, params, state, created_at_ms) values (?, ?, ?, ?, ?, ?, ?)",
    );
    this.#markSent = database.prepare("update requests set state = 'sent' where id = ? and state = 'queued'");
    this.#settle = database.prepare(
      "update requests set state = ?, answer = ?, settled_at_ms = ? where id = ? and settled_at_ms is null",
    );
    this.#get = database.prepare("select * from requests where id = ? and instance_id = ?");
    this.#unsettled = database.prepare(
      "select * from requests where instance_id = ? and settled_at_ms is null order by number",
    );
    this.#unsettledBefore = database.prepare(
      "select id from requests where settled_at_ms is null and created_at_ms < ? order by number limit ?",
    );
    this.#prune = database.prepare(
      "delete from requests where number in (select number from requests where settled_at_ms < ? limit ?)",
    );
  }

  async add(request: RequestRecord): Promise<void> {
    const { id, instanceId, operator, method, params, state, createdAtMs } = request;
    await this.#commit.run(() =>
      this.#add.run(id, instanceId, operator, method, params, state, Math.round(createdAtMs)),
    );
  }

  async markSent(id: string): Promise<void> {
    await this.#commit.run(() => this.#markSent.run(id));
  }

  async settle(id: string, state: "answered" | "cancelled" | "expired", answer: string, atMs: number): Promise<void> {
    await this.#commit.run(() => this.#settle.run(state, answer, Math.round(atMs), id));
  }

  async get(instanceId: string, id: string): Promise<RequestRecord | undefined> {
    const row = this.#get.get(id, instanceId) as Row | undefined;
    return row === undefined ? undefined : toRecord(row);
  }

  async unsettled(instanceId: string): Promise<readonly RequestRecord[]> {
    return (this.#unsettled.all(instanceId) as unknown as Row[]).map(toRecord);
  }

  async unsettledBefore(beforeMs: number, limit: number): Promise<readonly string[]> {
    return (this.#unsettledBefore.all(Math.round(beforeMs), limit) as { id: string }[]).map(({ id }) => id);
  }

  prune(beforeMs: number, limit: number): Promise<number> {
    return this.#commit.run(() => Number(this.#prune.run(Math.round(beforeMs), limit).changes));
  }
}

function toRecord(row: Row): RequestRecord {
  return {
    id: row.id,
    instanceId: row.instance_id,
    operator: row.operator,
    method: row.method,
    params: row.params,
    state: row.state,
    createdAtMs: row.created_at_ms,
    settledAtMs: optional(row.settled_at_ms),
    answer: optional(row.answer),
  };
}
