import type { Config } from "@hl/config/load.ts";
import type { Clock } from "@hl/core/clock.ts";
import { openAuditLog, type AuditLog } from "../logging/audit-log.ts";
import type { OpenLog } from "../logging/pino-logger.ts";
import type { Redactor } from "../redaction/redactor.ts";
import type { Secrets } from "../redaction/secrets.ts";
import type { LogTrouble } from "./log-health.ts";

/** What the process has before it is composed, so that its first line is searched for secrets too (X4). */
export interface WritingPorts {
  readonly clock: Clock;
  /** What is configured is among them already. */
  readonly secrets: Secrets;
  readonly redactor: Redactor;
  /** Why the log cannot be written at present. */
  readonly logTrouble: () => string | undefined;
  readonly logFiles: OpenLog["files"];
  /** Has something done, at once, before the process ends of an error that nobody has caught. */
  readonly beforeCrash: (work: () => void) => void;
}

export interface ComposedAuditLog extends Disposable {
  /** Undefined where it is switched off. */
  readonly auditLog: AuditLog | undefined;
  /** Of both logs. */
  readonly troubles: () => readonly LogTrouble[];
}

export function composeAuditLog({ daemon: { logging } }: Config, ports: WritingPorts): ComposedAuditLog {
  const auditLog = openAuditLog(logging.audit, ports);
  ports.beforeCrash(() => auditLog?.flushSync());
  return {
    auditLog,
    troubles: () => [
      { log: "daemon", file: logging.file, reason: ports.logTrouble() },
      { log: "audit", file: logging.audit.file, reason: auditLog?.trouble },
    ],
    [Symbol.dispose]: () => auditLog?.[Symbol.dispose](),
  };
}
