import type { LogFields, Logger } from "@hl/core/logger.ts";
import type { Clock } from "@hl/core/clock.ts";

/** JSON lines for a collector. Tokens are masked here, at the sink, so that no caller can forget it (X4). */
export type LogLevel = "debug" | "info" | "warn" | "error";

const levels: readonly LogLevel[] = ["debug", "info", "warn", "error"];

export interface LineLoggerOptions {
  readonly clock: Clock;
  readonly level: LogLevel;
  readonly write: (line: string) => void;
}

export function lineLogger(options: LineLoggerOptions, bound: LogFields = {}): Logger {
  const at =
    (level: LogLevel) =>
    (fields: LogFields, message: string): void => {
      if (levels.indexOf(level) < levels.indexOf(options.level)) return;
      const time = new Date(options.clock.wallMs()).toISOString();
      options.write(`${JSON.stringify({ time, level, message, ...bound, ...fields }, masked)}\n`);
    };
  return {
    debug: at("debug"),
    info: at("info"),
    warn: at("warn"),
    error: at("error"),
    child: (fields) => lineLogger(options, { ...bound, ...fields }),
  };
}

const tokenLike = /\b(?:hl[eor]_[\w-]{8,}|eyJ[\w-]+\.[\w-]+\.[\w-]+)/g;

function masked(_key: string, value: unknown): unknown {
  if (value instanceof Error) return (value.stack ?? value.message).replaceAll(tokenLike, "[token]");
  return typeof value === "string" ? value.replaceAll(tokenLike, "[token]") : value;
}
