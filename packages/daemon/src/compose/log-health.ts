import type { Condition } from "../health/alert-book.ts";

/** A log file, and why it cannot be written at present. */
export interface LogTrouble {
  readonly log: "daemon" | "audit";
  readonly file: string;
  readonly reason: string | undefined;
}

/** What an operator is to know of the logs (S4): some lines wait in memory, and what finds no room there is counted in the file later (S2). */
export function logConditions(logs: readonly LogTrouble[]): Condition[] {
  return logs.flatMap(({ log, file, reason }) => {
    if (reason === undefined) return [];
    const text = `${file}: ${reason}; the newest lines wait in memory, what is more than that is lost and counted in the file: free some space`;
    return [{ code: `${log}_log_failing` as const, text }];
  });
}
