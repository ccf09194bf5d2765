import type { Approval } from "@hl/protocol/methods/approval-list.ts";
import type { Database, Row } from "./database.ts";

export interface ApprovalRecord {
  readonly approval: Approval;
  /** The agent's own id of the request, unique in its process. */
  readonly agentRequestId: string;
  /** Size of the approval as JSON. */
  readonly bytes: number;
}

export interface ApprovalRetention {
  /** Ended before this time they go. */
  readonly endedBeforeMs: number;
  readonly approvalsMax: number;
  readonly bytesMax: number;
}

/** Permission requests across restarts of the daemon: those that wait, and for a while what became of the others. */
export class ApprovalRecords {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  /** It has to outlive the daemon, not a power cut, in which the agent ends too. */
  begin(record: ApprovalRecord): Promise<void> {
    return this.#database.write(() => void this.#put(record, "OR IGNORE", ""), "committed");
  }

  /**
   * Compare-and-set: answers whether it was this call that ended it. Resolves once that is durable, so that a decision that was
   * told is never forgotten.
   */
  end(record: ApprovalRecord, endedMs: number): Promise<boolean> {
    const ifPending =
      "ON CONFLICT (approval_id) DO UPDATE SET state = excluded.state, ended_ms = excluded.ended_ms, " +
      "bytes = excluded.bytes, body = excluded.body WHERE approvals.state = 'pending'";
    return this.#database.write(() => this.#put(record, "", ifPending, endedMs) === 1);
  }

  find(approvalId: string): ApprovalRecord | undefined {
    return this.#one("SELECT * FROM approvals WHERE approval_id = ?", approvalId);
  }

  findRequest(processId: string, agentRequestId: string): ApprovalRecord | undefined {
    return this.#one(
      "SELECT * FROM approvals WHERE process_id = ? AND agent_request_id = ?",
      processId,
      agentRequestId,
    );
  }

  /** In no particular order. */
  pending(): ApprovalRecord[] {
    return this.#all("SELECT * FROM approvals WHERE ended_ms IS NULL");
  }

  /** Those that are over, newest first. */
  ended(
    wanted: { readonly processId: string | undefined; readonly state: string | undefined },
    limit: number,
  ): ApprovalRecord[] {
    const { processId = null, state = null } = wanted;
    return this.#all(
      "SELECT * FROM approvals WHERE ended_ms IS NOT NULL AND (?1 IS NULL OR process_id = ?1) AND (?2 IS NULL OR state = ?2) " +
        "ORDER BY ended_ms DESC, approval_id LIMIT ?3",
      processId,
      state,
      limit,
    );
  }

  /** Those that are over: bounded by age, number and size; the oldest go. */
  prune({ endedBeforeMs, approvalsMax, bytesMax }: ApprovalRetention): Promise<void> {
    return this.#database.write(() => {
      this.#database
        .prepare(
          "DELETE FROM approvals WHERE approval_id IN (SELECT approval_id FROM " +
            "(SELECT approval_id, ended_ms, row_number() OVER newest AS number, sum(bytes) OVER newest AS total " +
            "FROM approvals WHERE ended_ms IS NOT NULL WINDOW newest AS (ORDER BY ended_ms DESC, approval_id)) " +
            "WHERE ended_ms < ? OR number > ? OR total > ?)",
        )
        .run(endedBeforeMs, approvalsMax, bytesMax);
    }, "soon");
  }

  #put({ approval, agentRequestId, bytes }: ApprovalRecord, or: string, onConflict: string, endedMs?: number): number {
    const { changes } = this.#database
      .prepare(
        `INSERT ${or} INTO approvals (approval_id, process_id, agent_request_id, state, ended_ms, bytes, body) ` +
          `VALUES (?, ?, ?, ?, ?, ?, ?) ${onConflict}`,
      )
      .run(
        ...[approval.approval_id, approval.process_id, agentRequestId, approval.state, endedMs ?? null, bytes],
        JSON.stringify(approval),
      );
    return Number(changes);
  }

  #one(sql: string, ...values: string[]): ApprovalRecord | undefined {
    return this.#all(sql, ...values)[0];
  }

  #all(sql: string, ...values: (string | number | null)[]): ApprovalRecord[] {
    return this.#database.read(() =>
      this.#database
        .prepare(sql)
        .all(...values)
        .map(recordOf),
    );
  }
}

function recordOf(row: Row): ApprovalRecord {
  return {
    approval: JSON.parse(row["body"] as string) as Approval,
    agentRequestId: row["agent_request_id"] as string,
    bytes: row["bytes"] as number,
  };
}
