import type { EndRecord } from "../runner/records.ts";
import type { TurnOutcome } from "../store/agent-records.ts";

/** How a process begins its session. A process that was ready before needs to know nothing of it. */
export interface AskedSession {
  readonly resume: boolean;
  readonly orNew?: boolean | undefined;
  readonly mode?: string | undefined;
}

/** How a process has ended. */
export interface ProcessEnd {
  readonly end: EndRecord;
  readonly endedMs: number;
  readonly exitCode: number;
  readonly stderrTail: string;
  /** How a turn in flight has ended with it. */
  readonly cut: TurnOutcome;
  /** Why we have ended it, where it did not end by itself. */
  readonly failedBy: string | undefined;
}
