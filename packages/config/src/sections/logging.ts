/** `logging`: the daemon's own log. `logging.json` may set the same keys. */
import { z } from "zod";
import { bytes, choice, count, flag, key, path, section } from "../declare.ts";

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
