import { mkdirSync } from "node:fs";
import { dirname } from "node:path";
import { destination, pino, type Logger as Pino } from "pino";
import type { LogFields, Logger } from "@hl/core/logger.ts";

export interface LogSettings {
  readonly level: string;
  readonly output: "file" | "stdout" | "stderr";
  readonly file: string;
  /** Carried by every line. */
  readonly base: LogFields;
}

/** Names that mean a secret wherever they stand (X4). */
const secretNames = ["token", "access_token", "refresh_token", "authorization", "password", "secret", "api_key", "key"];
const redacted = secretNames.flatMap((name) => [name, `*.${name}`]);

/** A log and how to close it. Broken output never takes the daemon down (S4). */
export function openLog(settings: LogSettings): { readonly logger: Logger; close(): void } {
  if (settings.output === "file") mkdirSync(dirname(settings.file), { recursive: true });
  const target = settings.output === "file" ? settings.file : settings.output === "stdout" ? 1 : 2;
  const sink = destination({ dest: target, sync: false, mkdir: true, mode: 0o640 });
  sink.on("error", () => {});
  const log = pino(
    {
      level: settings.level.toLowerCase(),
      base: settings.base,
      timestamp: pino.stdTimeFunctions.isoTime,
      redact: { paths: redacted, censor: "********" },
    },
    sink,
  );
  return {
    logger: wrap(log),
    close: () => {
      try {
        sink.flushSync();
      } catch {
        // Nothing was written yet, or the disk is full: there is nowhere left to say so.
      }
      sink.end();
    },
  };
}

function wrap(log: Pino): Logger {
  return {
    debug: (fields, message) => log.debug(fields, message),
    info: (fields, message) => log.info(fields, message),
    warn: (fields, message) => log.warn(fields, message),
    error: (fields, message) => log.error(fields, message),
    child: (fields) => wrap(log.child(fields)),
  };
}
