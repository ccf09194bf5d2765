import type { Database } from "./database.ts";

export type InboxState = "new" | "unanswered" | { readonly answer: string };

/** Requests of the cloud that must not run twice, with their answers (C1, C2). */
export class Inbox {
  readonly #database: Database;
  readonly #wallMs: () => number;

  constructor(database: Database, wallMs: () => number) {
    this.#database = database;
    this.#wallMs = wallMs;
  }

  /** Records a request before it begins and says what was known of it. Resolves once that is durable. */
  receive(requestId: string, method: string): Promise<InboxState> {
    return this.#database.write((): InboxState => {
      const row = this.#database.prepare("SELECT answer FROM inbox WHERE request_id = ?").get(requestId);
      if (row !== undefined) {
        const { answer } = row as { answer: string | null };
        return answer === null ? "unanswered" : { answer };
      }
      this.#database
        .prepare("INSERT INTO inbox (request_id, method, received_ms) VALUES (?, ?, ?)")
        .run(requestId, method, this.#wallMs());
      return "new";
    });
  }

  /** Resolves once the answer is durable; only then may it be sent, so that it can be sent again (C2). */
  answer(requestId: string, answer: string): Promise<void> {
    return this.#database.write(() => {
      this.#database.prepare("UPDATE inbox SET answer = ? WHERE request_id = ?").run(answer, requestId);
    });
  }

  /** A request that was refused before it began: it may come again and begin then. */
  forget(requestId: string): Promise<void> {
    return this.#database.write(() => {
      this.#database.prepare("DELETE FROM inbox WHERE request_id = ?").run(requestId);
    });
  }

  /** Bounded by age and number: the cloud gives a request up long before. */
  prune(olderThanMs: number, keep: number): Promise<void> {
    return this.#database.write(() => {
      this.#database.prepare("DELETE FROM inbox WHERE received_ms < ?").run(olderThanMs);
      this.#database
        .prepare(
          "DELETE FROM inbox WHERE request_id IN (SELECT request_id FROM inbox ORDER BY received_ms DESC LIMIT -1 OFFSET ?)",
        )
        .run(keep);
    });
  }
}
