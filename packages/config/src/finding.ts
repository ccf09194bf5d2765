/** What a check that needs several keys looks at, and what it finds. */
import type { DaemonConfig, SecurityConfig } from "./schema.ts";

/** Keys as "/section/key" of daemon.json, or "security:/section/key" of security.json. */
export interface Finding {
  readonly severity: "problem" | "warning";
  /** The problem is reported at the first of these that somebody set. */
  readonly keys: readonly string[];
  readonly message: string;
  readonly value?: unknown;
  readonly allowed?: string;
  readonly suggestion?: string;
}

export interface Trees {
  readonly daemon: DaemonConfig;
  readonly security: SecurityConfig;
  /** True where a file, an override or a variable set the key. */
  isSet(key: string): boolean;
}
