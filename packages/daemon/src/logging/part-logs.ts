import type { LogName } from "@hl/protocol/methods/system-logs.ts";

/** As `logging.files` of the configuration has one. */
export interface PartLogSettings {
  readonly enabled: boolean;
  readonly level: string;
  readonly file: string;
}

export type PartLogName = Exclude<LogName, "daemon" | "audit">;

/** By the `part` in their lines. A line of another part is in the daemon's log alone. */
export const partLogOf: ReadonlyMap<string, PartLogName> = new Map([
  ["api", "api_requests"],
  ["events", "events"],
  ["claude", "claude_stdio"],
  ["health", "health"],
  ["recovery", "recovery"],
]);
