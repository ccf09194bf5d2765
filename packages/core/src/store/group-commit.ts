import type { DatabaseSync, StatementSync } from "node:sqlite";
import { systemClock, type Clock } from "../clock.ts";
import type { DurableLog } from "./log-file.ts";

/**
 * `now`: somebody waits for it. `soon`: nobody does, so it may share the transaction of the next that cannot wait. `committed`:
 * somebody waits, and only for what a crash of this program cannot undo; it resolves at the commit, without the sync behind it.
 * `ahead`: as `now`, and it takes along nothing that is only due soon: every page more is time in which somebody waits.
 */
export type Urgency = "now" | "soon" | "committed" | "ahead";

export interface GroupCommitOptions {
  /** Makes commits durable beside the event loop. Without it COMMIT does, and the loop waits (`synchronous = FULL`). */
  readonly log?: DurableLog | undefined;
  readonly clock?: Pick<Clock, "after"> | undefined;
  /**
   * A sync had failed, and the log has begun anew since: writes that were refused may be in the database all the same. Called before the
   * next write, while none is under way, so that what is kept beside the rows can be derived again.
   */
  readonly onRenewed?: (() => void) | undefined;
}

/** Longest that a write which nobody waits for is held back. */
const soonMs = 10;

/**
 * Groups writes: everything that was asked for in one turn of the event loop, or while the disk was busy with the group before,
 * shares one transaction and one sync (S5).
 * States: idle → gathering (until the end of the turn) → committed, the log being synced → idle, or the next group.
 *
 * A write is a function without effects outside the database, because it may be run again: when anything in a group fails
 * nothing of it has happened, and its writes are repeated one by one, so that a bad one cannot take its neighbours along.
 */
export class GroupCommit {
  readonly #database: DatabaseSync;
  readonly #log: DurableLog | undefined;
  readonly #clock: Pick<Clock, "after">;
  readonly #onRenewed: () => void;
  #statements: Readonly<{ begin: StatementSync; commit: StatementSync }> | undefined;
  #queue: Write[] = [];
  #urgent = false;
  #busy = false;
  #cancelSoon: (() => void) | undefined;
  #soonIsDue = false;
  /** A sync has failed: what is in the log may not be on the disk, and nothing may be built on it. */
  #torn = false;

  constructor(database: DatabaseSync, options: GroupCommitOptions = {}) {
    this.#database = database;
    this.#log = options.log;
    this.#clock = options.clock ?? systemClock;
    this.#onRenewed = options.onRenewed ?? (() => {});
  }

  /**
   * Runs `write` in the next transaction; resolves with its answer once that is durable. Writes keep the order of the calls, but
   * those that are `ahead` may pass those that are due `soon`.
   */
  run<T>(write: () => T, urgency: Urgency = "now"): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    if (!this.#database.isOpen) {
      reject(new Error("the database is closed"));
      return promise;
    }
    // Behind everybody who waits: what follows from a write that nobody waits for is not to come before what follows from theirs.
    const settle = urgency === "soon" ? (value: T): void => void setImmediate(resolve, value) : resolve;
    this.#queue.push({ run: write, urgency, resolve: settle as (value: unknown) => void, reject });
    if (urgency !== "soon") this.#urge();
    else this.#cancelSoon ??= this.#clock.after(soonMs, () => this.#whenSoon());
    return promise;
  }

  /** Makes what is queued durable now instead of at the end of the turn; also what another thread is still syncing. */
  flush(): void {
    this.#soonIsDue = true;
    const settle = this.#commitQueue();
    let problem: unknown;
    try {
      this.#log?.syncNow();
    } catch (error) {
      problem = error;
    }
    settle(problem);
  }

  /** Refuses what is queued: the database is given up. What is being synced is settled by its sync. */
  abandon(reason: unknown): void {
    const queue = this.#queue;
    this.#queue = [];
    this.#cancelSoon?.();
    this.#cancelSoon = undefined;
    for (const write of queue) write.reject(reason);
  }

  #whenSoon(): void {
    this.#soonIsDue = true;
    this.#urge();
  }

  #urge(): void {
    this.#urgent = true;
    if (this.#busy) return;
    this.#busy = true;
    setImmediate(() => void this.#commitGroups());
  }

  async #commitGroups(): Promise<void> {
    while (this.#urgent && this.#database.isOpen) {
      const settle = this.#commitQueue();
      let problem: unknown;
      try {
        await this.#log?.sync();
      } catch (error) {
        problem = error;
        this.#torn = true;
      }
      settle(problem);
    }
    this.#busy = false;
  }

  /** Commits what is queued. The answer settles its promises, for when it is known whether that is durable. */
  #commitQueue(): (problem: unknown) => void {
    const group = this.#takeGroup();
    this.#urgent = false;
    const outcomes: Outcome[] = [];
    try {
      if (this.#torn) this.#renew();
      if (group.length > 0 && !this.#commit(group, outcomes))
        for (const write of group) this.#commit([write], outcomes);
    } catch (error) {
      return () => group.forEach((write) => write.reject(error));
    }
    return (problem) => outcomes.forEach((outcome) => outcome(problem));
  }

  #renew(): void {
    this.#log?.renew();
    this.#onRenewed();
    this.#torn = false;
  }

  #takeGroup(): readonly Write[] {
    const queue = this.#queue;
    const isAhead = ({ urgency }: Write): boolean => urgency === "ahead";
    if (!this.#soonIsDue && queue.every((write) => isAhead(write) || write.urgency === "soon")) {
      this.#queue = queue.filter((write) => !isAhead(write));
      return queue.filter(isAhead);
    }
    this.#queue = [];
    this.#soonIsDue = false;
    this.#cancelSoon?.();
    this.#cancelSoon = undefined;
    return queue;
  }

  /** One transaction. Answers false when a group failed and its writes are to be tried one by one. */
  #commit(group: readonly Write[], outcomes: Outcome[]): boolean {
    const results: unknown[] = [];
    this.#statements ??= {
      begin: this.#database.prepare("BEGIN IMMEDIATE"),
      commit: this.#database.prepare("COMMIT"),
    };
    try {
      this.#statements.begin.run();
      for (const write of group) results.push(write.run());
      this.#statements.commit.run();
    } catch (error) {
      this.#rollBack();
      if (group.length > 1) return false;
      outcomes.push(() => group[0]?.reject(error));
      return true;
    }
    group.forEach((write, index) => {
      if (write.urgency === "committed") write.resolve(results[index]);
    });
    outcomes.push((problem) => {
      group.forEach((write, index) => (problem === undefined ? write.resolve(results[index]) : write.reject(problem)));
    });
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

type Write = Readonly<{
  run: () => unknown;
  urgency: Urgency;
  resolve: (value: unknown) => void;
  reject: (error: unknown) => void;
}>;

/** @param problem why a committed group is not durable; undefined when it is. */
type Outcome = (problem: unknown) => void;
