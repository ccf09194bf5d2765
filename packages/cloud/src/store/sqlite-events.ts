import type { DatabaseSync, StatementSync } from "node:sqlite";
import type { GroupCommit } from "@hl/core/store/group-commit.ts";
import { lanes } from "@hl/protocol/event-lanes.ts";
import type { EventCursors, EventRecord, EventStore, NewEvent } from "./store.ts";

export class SqliteEvents implements EventStore {
  readonly #commit: GroupCommit;
  readonly #byId: StatementSync;
  readonly #bySeq: StatementSync;
  readonly #append: StatementSync;
  readonly #advance: StatementSync;
  readonly #cursors: StatementSync;
  readonly #after: StatementSync;
  readonly #cursorBefore: StatementSync;
  readonly #prune: StatementSync;

  constructor(database: DatabaseSync, commit: GroupCommit) {
    this.#commit = commit;
    this.#byId = database.prepare("select 1 from events where instance_id = ? and event_id = ?");
    this.#bySeq = database.prepare("select 1 from events where instance_id = ? and epoch = ? and seq = ?");
    this.#append = database.prepare(
      "insert into events (instance_id, event_id, epoch, seq, received_at_ms, body) values (?, ?, ?, ?, ?, ?)",
    );
    this.#advance = database.prepare(`
      insert into event_cursors (instance_id, epoch, lane, seq, event_id) values (?, ?, ?, ?, ?)
      on conflict (instance_id, epoch, lane) do update set seq = excluded.seq, event_id = excluded.event_id
      where excluded.seq > seq`);
    this.#cursors = database.prepare(
      "select lane, seq, event_id from event_cursors where instance_id = ? and epoch = ?",
    );
    this.#after = database.prepare(
      "select row, received_at_ms, body from events where instance_id = ? and row > ? order by row limit ?",
    );
    this.#cursorBefore = database.prepare(
      "select row from events where instance_id = ? order by row desc limit 1 offset ?",
    );
    this.#prune = database.prepare(
      "delete from events where row in (select row from events where received_at_ms < ? order by received_at_ms limit ?)",
    );
  }

  append(event: NewEvent): Promise<"stored" | "duplicate" | "conflict"> {
    const { instanceId, eventId, epoch, seq, lane, receivedAtMs, body } = event;
    return this.#commit.run(() => {
      const isKnown = this.#byId.get(instanceId, eventId) !== undefined;
      if (!isKnown && this.#bySeq.get(instanceId, epoch, seq) !== undefined) return "conflict";
      if (!isKnown) this.#append.run(instanceId, eventId, epoch, seq, Math.round(receivedAtMs), body);
      for (const each of lane === undefined ? lanes : [lane]) {
        this.#advance.run(instanceId, epoch, each, seq, eventId);
      }
      return isKnown ? "duplicate" : "stored";
    });
  }

  async cursors(instanceId: string, epoch: string): Promise<EventCursors> {
    const rows = this.#cursors.all(instanceId, epoch) as { lane: string; seq: number; event_id: string | null }[];
    return {
      lanes: Object.fromEntries(rows.map(({ lane, seq }) => [lane, seq])),
      event_ids: Object.fromEntries(rows.flatMap(({ lane, event_id: id }) => (id === null ? [] : [[lane, id]]))),
    };
  }

  async after(instanceId: string, row: number, limit: number, bytesMax: number): Promise<readonly EventRecord[]> {
    const records: EventRecord[] = [];
    let bytes = 0;
    for (const item of this.#after.iterate(instanceId, row, limit)) {
      const { row: number, received_at_ms, body } = item as { row: number; received_at_ms: number; body: string };
      bytes += body.length;
      if (records.length > 0 && bytes > bytesMax) break;
      records.push({ row: number, receivedAtMs: received_at_ms, body });
    }
    return records;
  }

  async cursorBefore(instanceId: string, count: number): Promise<number> {
    return (this.#cursorBefore.get(instanceId, count) as { row: number } | undefined)?.row ?? 0;
  }

  prune(beforeMs: number, limit: number): Promise<number> {
    return this.#commit.run(() => Number(this.#prune.run(Math.round(beforeMs), limit).changes));
  }
}
