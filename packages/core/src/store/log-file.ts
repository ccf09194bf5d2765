import { closeSync, fdatasync, fdatasyncSync, openSync } from "node:fs";
import type { DatabaseSync } from "node:sqlite";
import { promisify } from "node:util";

/** Makes what was committed durable; see group-commit.ts. */
export interface DurableLog {
  sync(): Promise<unknown>;
  /** The same, and the event loop waits for it. */
  syncNow(): void;
  /** After a failed sync the kernel may have given pages up: everything moves to the database file, and the log begins anew. */
  renew(): void;
}

/**
 * Pages of the log after which they are moved to the database file, by the commit that finds them. Everybody waits for that: with
 * SQLite's 1000 the slowest hundredth of answers took a third longer, with much less than this each is a sync more too often.
 */
export const checkpointPages = 128;

const syncOnThreadPool = promisify(fdatasync);

/**
 * The write-ahead log of a database, synced on another thread. SQLite's own sync stops the event loop, and takes longer than all
 * else that a small write costs; so SQLite runs with `synchronous = NORMAL` (it then syncs around checkpoints only, which keeps the
 * file in order whenever the power goes) and the log is synced here before anybody is answered. That promises what FULL does (S1).
 */
export class LogFile implements DurableLog, Disposable {
  readonly #database: DatabaseSync;
  readonly #descriptor: number;
  #syncing = 0;
  #open = true;

  constructor(database: DatabaseSync, path: string) {
    this.#database = database;
    database.exec(`PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = ${checkpointPages}`);
    database.prepare("PRAGMA user_version").get(); // The log is there from the first read on, until the database is closed.
    this.#descriptor = openSync(`${path}-wal`, "r");
  }

  async sync(): Promise<void> {
    this.#syncing += 1;
    try {
      await microtasksDone(); // Who waits for the commit alone goes on: handing the log to another thread takes its time.
      await syncOnThreadPool(this.#descriptor);
    } finally {
      this.#syncing -= 1;
      this.#closeUnused();
    }
  }

  syncNow(): void {
    fdatasyncSync(this.#descriptor);
  }

  renew(): void {
    const { busy } = this.#database.prepare("PRAGMA wal_checkpoint(TRUNCATE)").get() as { busy: number };
    if (busy !== 0) throw new Error("the database's log could not be begun anew after a failed sync");
  }

  [Symbol.dispose](): void {
    if (!this.#open) return;
    this.#open = false;
    this.#closeUnused();
  }

  /** A number that another thread still uses must not be given to another file. */
  #closeUnused(): void {
    if (!this.#open && this.#syncing === 0) closeSync(this.#descriptor);
  }
}

/** Resolves when nothing is left that could go on at once. */
async function microtasksDone(): Promise<void> {
  await Promise.resolve();
  await new Promise<void>((resolve) => process.nextTick(resolve));
}
