import * as z from "zod";
import { defineMethod } from "../method.ts";

/** The daemon's own, then those of its parts. */
export const logNames = ["daemon", "audit", "api_requests", "events", "claude_stdio", "health", "recovery"] as const;

export type LogName = (typeof logNames)[number];

export const logLinesMax = 10_000;
/** Of the lines of one answer; the oldest are left out. */
export const logReplyBytesMax = 1024 * 1024;

export const systemLogs = defineMethod({
  name: "system/logs",
  summary: "Read the newest lines of a log of the daemon, and follow it when asked.",
  direction: "to-daemon",
  permission: "logs:access",
  idempotent: true,
  timeoutMs: 30_000,
  errors: ["invalid_request"],
  params: z.object({
    file: z.enum(logNames).default("daemon").describe("Which log"),
    lines: z.int().min(0).max(logLinesMax).default(100).describe("The newest so many, also of rotated files"),
    follow: z
      .boolean()
      .default(false)
      .describe(
        "Lines that are written from then on come as notifications, none twice, until the connection is closed",
      ),
  }),
  result: z.object({
    file: z.enum(logNames),
    path: z.string().describe("Where it is on the machine"),
    lines: z.array(z.string()).describe("Oldest first, as they are in the file"),
    omitted: z.boolean().describe(`Fewer than asked for, since an answer carries ${logReplyBytesMax} bytes of lines`),
  }),
  notifications: {
    "system/log": z.object({ file: z.enum(logNames), line: z.string() }),
    "system/log_gap": z.object({
      file: z.enum(logNames),
      lines: z.int().describe("So many are missing here: the reader was too slow; they are in the file"),
    }),
  },
});
