import type { DatabaseSync, StatementSync } from "node:sqlite";
import { GroupCommit, type GroupCommitOptions } from "@hl/core/store/group-commit.ts";
import { LogFile } from "@hl/core/store/log-file.ts";

/** One file with what belongs to it; a corrupt one is given up with all of that. */
export interface OpenFile {
  readonly sqlite: DatabaseSync;
  readonly log: LogFile;
  readonly commit: GroupCommit;
  readonly prepared: Map<string, StatementSync>;
}

export function openFileOf(
  sqlite: DatabaseSync,
  path: string,
  options: Pick<GroupCommitOptions, "clock" | "onRenewed">,
): OpenFile {
  const log = new LogFile(sqlite, path);
  return { sqlite, log, commit: new GroupCommit(sqlite, { ...options, log }), prepared: new Map() };
}

export function statementOf({ prepared: statements, sqlite }: OpenFile, sql: string): StatementSync {
  let statement = statements.get(sql);
  if (statement === undefined) {
    statement = sqlite.prepare(sql);
    statements.set(sql, statement);
  }
  return statement;
}
