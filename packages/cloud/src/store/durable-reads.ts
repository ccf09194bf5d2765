import type { DatabaseSync } from "node:sqlite";
import type { GroupCommit } from "@hl/core/store/group-commit.ts";
import { SqliteEvents } from "./sqlite-events.ts";
import type { EventRecord } from "./store.ts";

/**
 * Tells readers only of events that are on the disk. A query sees what is committed, a moment before its sync; a cursor told from
 * there could name another event after a power cut, and its reader would never see that one (S1). So a read that is ahead of
 * every sync waits for one, which it shares with whatever else is being written.
 */
export class DurableEvents extends SqliteEvents {
  readonly #commit: GroupCommit;
  #durableRow = 0;

  constructor(database: DatabaseSync, commit: GroupCommit) {
    super(database, commit);
    this.#commit = commit;
  }

  override async after(id: string, row: number, limit: number, bytesMax: number): Promise<readonly EventRecord[]> {
    const records = await super.after(id, row, limit, bytesMax);
    await this.#durable(records.at(-1)?.row ?? 0);
    return records;
  }

  override async cursorBefore(instanceId: string, count: number): Promise<number> {
    const row = await super.cursorBefore(instanceId, count);
    await this.#durable(row);
    return row;
  }

  async #durable(row: number): Promise<void> {
    if (row <= this.#durableRow) return;
    await this.#commit.run(() => {});
    this.#durableRow = Math.max(this.#durableRow, row);
  }
}
