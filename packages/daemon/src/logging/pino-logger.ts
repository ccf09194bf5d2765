import { mkdirSync } from "node:fs";
import { dirname } from "node:path";
import { destination, pino, type Logger as Pino } from "pino";
import type { LogFields, Logger } from "@hl/core/logger.ts";
import { LevelGate, type LineLevel, type LogLevels } from "./log-levels.ts";

export interface LogSettings extends LogLevels {
  readonly output: "file" | "stdout" | "stderr";
  readonly file: string;
  /** Carried by every line. */
  readonly base: LogFields;
}

/** Names that mean a secret wherever they stand (X4). */
const secretNames = ["token", "access_token", "refresh_token", "authorization", "password", "secret", "api_key", "key"];
const redacted = secretNames.flatMap((name) => [name, `*.${name}`]);

/** A log and how to close it. Broken output never takes the daemon down (S4). */
export function openLog(settings: LogSettings): {
  readonly logger: Logger;
  readonly setLevels: (levels: LogLevels) => void;
  close(): void;
} {
  if (settings.output === "file") mkdirSync(dirname(settings.file), { recursive: true });
  const target = settings.output === "file" ? settings.file : settings.output === "stdout" ? 1 : 2;
  const sink = destination({ dest: target, sync: false, mkdir: true, mode: 0o640 });
  sink.on("error", () => {});
  const log = pino(
    {
      level: "trace", // The gate decides, so that it can be changed for every child at once.
      base: settings.base,
      timestamp: pino.stdTimeFunctions.isoTime,
      redact: { paths: redacted, censor: "********" },
    },
    sink,
  );
  const gate = new LevelGate(settings);
  return {
    logger: wrap(log, gate),
    setLevels: (levels) => gate.set(levels),
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

function wrap(log: Pino, gate: LevelGate, part?: string): Logger {
  const write =
    (level: LineLevel) =>
    (fields: LogFields, message: string): void => {
      if (gate.isOpen(level, part)) log[level](fields, message);
    };
  return {
    debug: write("debug"),
    info: write("info"),
    warn: write("warn"),
    error: write("error"),
    child: (fields) => wrap(log.child(fields), gate, typeof fields["part"] === "string" ? fields["part"] : part),
  };
}
