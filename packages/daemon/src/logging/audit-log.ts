import type { Clock } from "@hl/core/clock.ts";
import { loggable, type Redaction } from "./loggable.ts";
import { RotatingFile, type FollowedLog } from "./rotating-file.ts";
import type { Frequency } from "./rotation.ts";

/** As `logging.audit` of the configuration has it. */
export interface AuditLogSettings {
  readonly enabled: boolean;
  readonly file: string;
  readonly max_size: number;
  readonly backup_count: number;
  readonly compression: boolean;
  readonly frequency: Frequency;
  readonly retention_days: number;
}

/** A file of records that nobody waits for; what it cannot take is counted in it (S2). */
export interface AuditLog extends Disposable {
  append(record: Readonly<Record<string, unknown>>): void;
  /** Writes what waits before the process ends. */
  flushSync(): void;
  /** Why records wait or are lost at present. */
  readonly trouble: string | undefined;
  readonly file: FollowedLog;
}

/** Who asked for what concerns nobody but who runs the daemon. */
const fileMode = 0o600;
/** Some ten thousand records. */
const waitingBytesMax = 4 * 1024 * 1024;

/** Undefined where it is switched off. */
export function openAuditLog(
  settings: AuditLogSettings,
  { clock, redactor }: { readonly clock: Clock; readonly redactor: Redaction },
): AuditLog | undefined {
  if (!settings.enabled) return undefined;
  const lineOf = (record: Readonly<Record<string, unknown>>): string =>
    JSON.stringify({ time: new Date(clock.wallMs()).toISOString(), ...record });
  const file = new RotatingFile({
    path: settings.file,
    clock,
    mode: fileMode,
    bytesMax: settings.max_size,
    filesMax: settings.backup_count,
    compress: settings.compression,
    frequency: settings.frequency,
    retentionDays: settings.retention_days,
    waitingBytesMax,
    lostLine: (count, reason) => lineOf({ kind: "lost", count, reason }),
  });
  return {
    append: (record) => file.write(`${lineOf(redactor.redact(loggable(record)) as Record<string, unknown>)}\n`),
    file,
    flushSync: () => file.flushSync(),
    get trouble() {
      return file.trouble;
    },
    [Symbol.dispose]: () => file.close(),
  };
}
