import type { DatabaseSync } from "node:sqlite";

/**
 * Coalesces writes: everything that was asked for in one turn of the event loop shares one transaction and one fsync (S5).
 * A step that throws undoes itself and rejects alone; a commit that fails rejects all of its steps.
 */
export class GroupCommit {
  readonly #database: DatabaseSync;
  #steps: Step[] = [];
  #scheduled = false;

  constructor(database: DatabaseSync) {
    this.#database = database;
  }

  /** Resolves with the step's answer once it is durable. */
  run<T>(work: () => T): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    this.#steps.push({
      work,
      settle: (outcome) => ("error" in outcome ? reject(outcome.error) : resolve(outcome.value as T)),
    });
    if (!this.#scheduled) {
      this.#scheduled = true;
      setImmediate(() => this.flush());
    }
    return promise;
  }

  /** Commits what is waiting at once. */
  flush(): void {
    this.#scheduled = false;
    const steps = this.#steps.splice(0);
    if (steps.length === 0) return;
    const outcomes: Outcome[] = [];
    try {
      this.#database.exec("begin immediate");
      for (const step of steps) outcomes.push(this.#attempt(step));
      this.#database.exec("commit");
    } catch (error) {
      if (this.#database.isTransaction) this.#database.exec("rollback");
      for (const step of steps) step.settle({ error });
      return;
    }
    steps.forEach((step, index) => step.settle(outcomes[index] ?? { error: new Error("the step has no outcome") }));
  }

  #attempt(step: Step): Outcome {
    this.#database.exec("savepoint step");
    try {
      const value = step.work();
      this.#database.exec("release step");
      return { value };
    } catch (error) {
      // A full disk ends the whole transaction by itself; then there is nothing left to undo here.
      if (!this.#database.isTransaction) throw error;
      this.#database.exec("rollback to step");
      this.#database.exec("release step");
      return { error };
    }
  }
}

type Outcome = { readonly value: unknown } | { readonly error: unknown };

interface Step {
  readonly work: () => unknown;
  readonly settle: (outcome: Outcome) => void;
}
