/** `logging`: the daemon's own logs. `logging.json` may set the same keys. */
import * as z from "zod";
import { bytes, choice, count, flag, key, path, section, type Key, type Section } from "../declare.ts";

const LEVELS = ["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"] as const;
const OTHER_NAMES: Readonly<Record<string, string>> = { WARNING: "WARN", CRITICAL: "FATAL" };

const toLevel = (value: unknown): unknown => {
  if (typeof value !== "string") return value;
  const upper = value.toUpperCase();
  return OTHER_NAMES[upper] ?? upper;
};

const toLevels = (value: unknown): unknown =>
  typeof value === "object" && value !== null && !Array.isArray(value)
    ? Object.fromEntries(Object.entries(value).map(([name, level]) => [name, toLevel(level)]))
    : value;

interface PartLogKeys {
  readonly [name: string]: Key<unknown>;
  readonly enabled: Key<boolean>;
  readonly level: Key<(typeof LEVELS)[number]>;
  readonly file: Key<string>;
}

const partLog = (name: string, level: (typeof LEVELS)[number], summary: string): Section<PartLogKeys> =>
  section({
    summary,
    keys: {
      enabled: flag({ default: true, reload: "restart", summary: "Whether it is written." }),
      level: choice({
        values: LEVELS,
        default: level,
        prepare: toLevel,
        reload: "restart",
        summary: "Lowest level that is written, whatever that of the daemon's log is.",
      }),
      file: path({ default: `logs/${name}.log`, reload: "restart", remote: false, summary: "Its file." }),
    },
  });

export const loggingSection = section({
  summary: "The daemon's log.",
  keys: {
    level: choice({
      values: LEVELS,
      default: "INFO",
      prepare: toLevel,
      reload: "live",
      summary: "Lowest level that is written; lower case, WARNING and CRITICAL are understood.",
    }),
    levels: key({
      schema: z.record(z.string().min(1).max(128), z.enum(LEVELS)),
      default: {},
      prepare: toLevels,
      reload: "live",
      summary: 'Other levels for parts of the daemon, by the name in their lines, such as {"cloud": "DEBUG"}.',
    }),
    format: choice({
      values: ["json", "text"],
      default: "json",
      reload: "restart",
      summary: "One JSON object or one plain line each.",
    }),
    output: choice({
      values: ["file", "stdout", "stderr"],
      default: "file",
      reload: "restart",
      summary: "Where the log goes. Under systemd, stdout and stderr are the journal.",
    }),
    file: path({ default: "logs/daemon.log", reload: "restart", summary: "The file of `output: file`." }),
    max_size: bytes({
      min: 4096,
      default: 100_000_000,
      reload: "restart",
      summary: "The file is rotated at this size.",
    }),
    backup_count: count({
      max: 10_000,
      default: 5,
      unit: "files",
      reload: "restart",
      summary: "Rotated files that are kept.",
    }),
    compression: flag({ default: true, reload: "restart", summary: "Compress rotated files (gzip)." }),
    structured_logging: flag({
      default: true,
      reload: "restart",
      summary: "Keep facts as fields of a line; false writes them into the message.",
    }),
    log_rotation: section({
      summary: "Rotation by time, beside `max_size`.",
      keys: {
        enabled: flag({ default: true, reload: "restart", summary: "Whether the file is rotated by time." }),
        frequency: choice({
          values: ["hourly", "daily", "weekly"],
          default: "daily",
          reload: "restart",
          summary: "How often.",
        }),
        retention_days: count({
          min: 1,
          max: 3650,
          default: 7,
          unit: "days",
          reload: "restart",
          summary: "Rotated files older than this are removed.",
        }),
      },
    }),
    files: section({
      summary:
        "Logs of parts of the daemon, for whoever looks for one thing. The daemon's log has the same lines as far as its level lets them through. Rotated as it is.",
      keys: {
        api_requests: partLog(
          "api-requests",
          "INFO",
          "Requests that failed; at DEBUG each one with method, caller and time, which costs some 20 µs a request.",
        ),
        events: partLog("events", "DEBUG", "Batches of events on their way to the cloud, and what it refused."),
        claude_stdio: partLog(
          "claude-stdio",
          "DEBUG",
          "Each message between the daemon and an agent but the pieces of answers: direction, type, relay. What they say is in the transcript.",
        ),
        health: partLog("health", "DEBUG", "Each check, and what changed."),
        recovery: partLog("recovery", "DEBUG", "What was done to recover, why, and what became of it."),
      },
    }),
    audit: section({
      summary: "The audit log: who did what and who was refused, a JSON object a line (docs/audit.md).",
      remote: false,
      keys: {
        enabled: flag({
          default: true,
          reload: "restart",
          summary: "Whether it is written. The `audit` events are sent either way.",
        }),
        file: path({ default: "logs/audit.log", reload: "restart", summary: "Its file." }),
        max_size: bytes({
          min: 4096,
          default: 50_000_000,
          reload: "restart",
          summary: "The file is rotated at this size.",
        }),
        backup_count: count({
          max: 10_000,
          default: 30,
          unit: "files",
          reload: "restart",
          summary: "Rotated files that are kept.",
        }),
        compression: flag({ default: true, reload: "restart", summary: "Compress rotated files (gzip)." }),
        frequency: choice({
          values: ["hourly", "daily", "weekly"],
          default: "daily",
          reload: "restart",
          summary: "How often it is rotated, beside `max_size`.",
        }),
        retention_days: count({
          min: 1,
          max: 3650,
          default: 90,
          unit: "days",
          reload: "restart",
          summary: "Rotated files older than this are removed.",
        }),
      },
    }),
  },
});
