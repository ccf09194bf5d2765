import { destination, pino, type Logger as Pino } from "pino";
import type { Clock } from "@hl/core/clock.ts";
import type { LogFields, Logger } from "@hl/core/logger.ts";
import { textLine, withPairs } from "./line-format.ts";
import { loggable, type Redaction } from "./loggable.ts";
import { LevelGate, type LineLevel, type LogLevels } from "./log-levels.ts";
import { RotatingFile, type LineSink } from "./rotating-file.ts";
import type { Frequency } from "./rotation.ts";

/** As `logging` of the configuration has it. */
export interface LogSettings extends LogLevels {
  readonly output: "file" | "stdout" | "stderr";
  readonly file: string;
  readonly format: "json" | "text";
  readonly structured_logging: boolean;
  readonly max_size: number;
  readonly backup_count: number;
  readonly compression: boolean;
  readonly log_rotation: { readonly enabled: boolean; readonly frequency: Frequency; readonly retention_days: number };
}

export interface LogPorts {
  readonly clock: Clock;
  /** Everything that is written goes through it (X4). */
  readonly redactor: Redaction;
  /** Carried by every line. */
  readonly base: LogFields;
}

export interface OpenLog {
  readonly logger: Logger;
  readonly setLevels: (levels: LogLevels) => void;
  /** Why lines are not written at present. */
  readonly trouble: () => string | undefined;
  /** Writes what waits before the process ends. */
  readonly flushSync: () => void;
  close(): void;
}

const fileMode = 0o640;

/** A log and how to close it. Neither broken output nor anything that is logged takes the daemon down (S4). */
export function openLog(settings: LogSettings, { clock, redactor, base }: LogPorts): OpenLog {
  const file = settings.output === "file" ? fileSink(settings, clock, base) : undefined;
  const sink = file ?? streamSink(settings.output === "stdout" ? 1 : 2);
  const isText = settings.format === "text";
  const log = pino(
    {
      level: "trace", // The gate decides, so that it can be changed for every child at once.
      base: { ...base },
      timestamp: () => `,"time":"${new Date(clock.wallMs()).toISOString()}"`,
    },
    { write: (line: string) => sink.write(isText ? textLine(line) : line) },
  );
  const gate = new LevelGate(settings);
  const writing = { log, gate, redactor, isStructured: settings.structured_logging };
  return {
    logger: loggerOf(writing, {}),
    setLevels: (levels) => gate.set(levels),
    trouble: () => file?.trouble,
    flushSync: () => sink.flushSync(),
    close: () => sink.close(),
  };
}

interface Writing {
  readonly log: Pino;
  readonly gate: LevelGate;
  readonly redactor: Redaction;
  readonly isStructured: boolean;
}

/** Fields of parents are kept here and not in pino, so that a secret that becomes known later is found in them too. */
function loggerOf({ log, gate, redactor, isStructured }: Writing, bound: LogFields): Logger {
  const part = typeof bound["part"] === "string" ? bound["part"] : undefined;
  const write =
    (level: LineLevel) =>
    (fields: LogFields, message: string): void => {
      if (!gate.isOpen(level, part)) return;
      try {
        const [safe, text] = redactor.redact([loggable({ ...bound, ...fields }), message]) as [LogFields, string];
        if (isStructured) log[level](safe, text);
        else log[level](part === undefined ? {} : { part }, withPairs(text, { ...safe, part: undefined }));
      } catch (error) {
        log[level]({ part, reason: error instanceof Error ? error.name : undefined }, "a line could not be written");
      }
    };
  return {
    debug: write("debug"),
    info: write("info"),
    warn: write("warn"),
    error: write("error"),
    child: (fields) => loggerOf({ log, gate, redactor, isStructured }, { ...bound, ...fields }),
  };
}

function fileSink(settings: LogSettings, clock: Clock, base: LogFields): RotatingFile {
  const { enabled, frequency, retention_days: retentionDays } = settings.log_rotation;
  const isText = settings.format === "text";
  return new RotatingFile({
    path: settings.file,
    clock,
    mode: fileMode,
    bytesMax: settings.max_size,
    filesMax: settings.backup_count,
    compress: settings.compression,
    frequency: enabled ? frequency : undefined,
    retentionDays,
    lostLine: (lost_lines, reason) => {
      const time = new Date(clock.wallMs()).toISOString();
      const line = JSON.stringify({
        level: 40,
        time,
        ...base,
        lost_lines,
        reason,
        msg: "lines of this log are missing",
      });
      return isText ? textLine(line).trimEnd() : line;
    },
  });
}

/** Standard output or error, whose reader may be slow or gone. */
function streamSink(descriptor: 1 | 2): LineSink {
  const stream = destination({ dest: descriptor, sync: false, maxLength: 1024 * 1024 });
  stream.on("error", () => {});
  const flushSync = (): void => {
    try {
      stream.flushSync();
    } catch {
      // Nothing was written yet, or nobody reads: there is nowhere left to say so.
    }
  };
  return {
    write: (line) => void stream.write(line),
    flushSync,
    close: () => {
      flushSync();
      stream.end();
    },
  };
}
