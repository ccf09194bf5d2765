import { destination, pino, type Logger as Pino } from "pino";
import type { Clock } from "@hl/core/clock.ts";
import type { LogFields, Logger } from "@hl/core/logger.ts";
import { textLine, withPairs } from "./line-format.ts";
import { loggable, type Redaction } from "./loggable.ts";
import { LevelGate, type LineLevel, type LogLevels } from "./log-levels.ts";
import { partLogOf, type PartLogName, type PartLogSettings } from "./part-logs.ts";
import { RotatingFile, type FollowedLog, type LineSink } from "./rotating-file.ts";
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
  /** Those of parts; none where they are left out. */
  readonly files?: Readonly<Record<PartLogName, PartLogSettings>> | undefined;
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
  /** The files that are written. */
  readonly files: Readonly<Partial<Record<PartLogName | "daemon", FollowedLog>>>;
  /** Writes what waits before the process ends. */
  readonly flushSync: () => void;
  close(): void;
}

const fileMode = 0o640;

/** A log and how to close it. Neither broken output nor anything that is logged takes the daemon down (S4). */
export function openLog(settings: LogSettings, ports: LogPorts): OpenLog {
  const file = settings.output === "file" ? fileSink(settings.file, settings, ports) : undefined;
  const sink = file ?? streamSink(settings.output === "stdout" ? 1 : 2);
  const gate = new LevelGate(settings);
  const parts = partSinks(settings, ports);
  const main: Writer = { log: pinoOf(sink, settings, ports), isOpen: (level, part) => gate.isOpen(level, part) };
  const writers = new Map(
    Object.entries(parts).map(([name, { sink, level }]): [string, Writer] => {
      const own = new LevelGate({ level, levels: {} });
      return [name, { log: pinoOf(sink, settings, ports), isOpen: (level) => own.isOpen(level, undefined) }];
    }),
  );
  const sinks = [sink, ...Object.values(parts).map(({ sink }) => sink)];
  const files = Object.fromEntries(Object.entries(parts).map(([name, { sink }]) => [name, sink]));
  return {
    logger: loggerOf({ main, writers, redactor: ports.redactor, isStructured: settings.structured_logging }, {}),
    setLevels: (levels) => gate.set(levels),
    trouble: () => file?.trouble,
    files: { ...files, ...(file === undefined ? {} : { daemon: file }) },
    flushSync: () => sinks.forEach((one) => one.flushSync()),
    close: () => sinks.forEach((one) => one.close()),
  };
}

function pinoOf(sink: LineSink, { format }: LogSettings, { clock, base }: LogPorts): Pino {
  const isText = format === "text";
  return pino(
    {
      level: "trace", // The gate decides, so that it can be changed for every child at once.
      base: { ...base },
      timestamp: () => `,"time":"${new Date(clock.wallMs()).toISOString()}"`,
    },
    { write: (line: string) => sink.write(isText ? textLine(line) : line) },
  );
}

interface PartSink {
  readonly sink: RotatingFile;
  readonly level: string;
}

function partSinks(settings: LogSettings, ports: LogPorts): Readonly<Record<string, PartSink>> {
  const enabled = Object.entries(settings.files ?? {}).filter(([, { enabled }]) => enabled);
  return Object.fromEntries(
    enabled.map(([name, { file, level }]) => [name, { sink: fileSink(file, settings, ports), level }]),
  );
}

interface Writer {
  readonly log: Pino;
  readonly isOpen: (level: LineLevel, part: string | undefined) => boolean;
}

interface Writing {
  readonly main: Writer;
  /** By the name of a part's log. */
  readonly writers: ReadonlyMap<string, Writer>;
  readonly redactor: Redaction;
  readonly isStructured: boolean;
}

/** Fields of parents are kept here and not in pino, so that a secret that becomes known later is found in them too. */
function loggerOf(writing: Writing, bound: LogFields): Logger {
  const { main, writers, redactor, isStructured } = writing;
  const part = typeof bound["part"] === "string" ? bound["part"] : undefined;
  const own = part === undefined ? undefined : writers.get(partLogOf.get(part) ?? "");
  const write =
    (level: LineLevel) =>
    (fields: LogFields, message: string): void => {
      const isForMain = main.isOpen(level, part);
      const alsoIn = own?.isOpen(level, part) === true ? own : undefined;
      if (!isForMain && alsoIn === undefined) return;
      const [said, text] = saidOf(part, { ...bound, ...fields }, message, redactor, isStructured);
      if (isForMain) main.log[level](said, text);
      alsoIn?.log[level](said, text);
    };
  return {
    debug: write("debug"),
    info: write("info"),
    warn: write("warn"),
    error: write("error"),
    child: (fields) => loggerOf(writing, { ...bound, ...fields }),
  };
}

function saidOf(
  part: string | undefined,
  fields: LogFields,
  message: string,
  redactor: Redaction,
  isStructured: boolean,
): [LogFields, string] {
  try {
    const [safe, text] = redactor.redact([loggable(fields), message]) as [LogFields, string];
    if (isStructured) return [safe, text];
    return [part === undefined ? {} : { part }, withPairs(text, { ...safe, part: undefined })];
  } catch (error) {
    return [{ part, reason: error instanceof Error ? error.name : undefined }, "a line could not be written"];
  }
}

function fileSink(path: string, settings: LogSettings, { clock, base }: LogPorts): RotatingFile {
  const { enabled, frequency, retention_days: retentionDays } = settings.log_rotation;
  const isText = settings.format === "text";
  return new RotatingFile({
    path,
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
