import * as z from "zod";
import { commandId, encoding } from "../fields.ts";

/** The end, or the present state, of a command; `command/execute` and `command/status` answer the same object. */
export const commandReason = z.enum([
  "exited",
  "signalled",
  "timeout",
  "idle_timeout",
  "oom",
  "cancelled",
  "shutdown",
  "interrupted",
  "daemon_lost",
  "unknown",
]);

export const commandResult = z.object({
  command_id: commandId,
  process_id: z.int().describe("Process id of the main process; 0 before it has one"),
  status: z.enum(["started", "completed", "failed", "timeout"]).describe("completed = exit code 0"),
  exit_code: z.int().optional().describe("Missing while it runs and when a signal ended it"),
  signal: z.string().optional().describe("Name of the signal that ended it, for example SIGKILL"),
  reason: commandReason.optional().describe("Why it ended (P2); missing while it runs"),
  stdout: z
    .string()
    .optional()
    .describe("Head and tail within process_management.max_reply_bytes; command/logs has the rest"),
  stderr: z.string().optional(),
  stdout_encoding: encoding.optional(),
  stderr_encoding: encoding.optional(),
  stdout_bytes: z.int().describe("All bytes that the command wrote"),
  stderr_bytes: z.int(),
  stdout_truncated: z.boolean(),
  stderr_truncated: z.boolean(),
  pipes_still_open: z.boolean().describe("A background child still holds the output (P4)"),
  execution_time: z.number().describe("Milliseconds"),
  resource_usage: z.object({
    max_memory: z
      .number()
      .describe("Peak memory in MB of the whole tree (source cgroup, watch), else of the largest process"),
    cpu_time: z.number().describe("Milliseconds of the whole tree"),
    source: z
      .enum(["cgroup", "watch", "wait4"])
      .optional()
      .describe("Who measured it: the kernel for the tree, the runner by looking, the kernel for ended processes"),
    oom_kills: z.int().optional().describe("Processes that a memory limit has killed; missing where none was"),
  }),
  started_at: z.number().describe("Unix seconds"),
  ended_at: z.number().optional(),
});

export type CommandResult = z.output<typeof commandResult>;
export type CommandReason = z.output<typeof commandReason>;

/** A program that writes bytes anyway asks for base64: it costs both sides a fraction of the work. */
export const outputEncoding = z
  .enum(["auto", "base64"])
  .default("auto")
  .describe(
    "How command/output carries bytes: `auto` is text where they are valid UTF-8, else base64; `base64` is the fastest",
  );

/** Notifications of a running command. */
export const commandOutput = z.object({
  command_id: commandId,
  stream: z.enum(["stdout", "stderr"]),
  offset: z.int().describe("Of the first byte, in its stream"),
  position: z.int().describe("Of the first byte, in both streams as they came; resume with command/subscribe"),
  data: z.string(),
  encoding,
});

export const commandGap = z.object({
  command_id: commandId,
  position: z.int().describe("First byte that is missing"),
  bytes: z.int().describe("How many; the reader fell behind the retained window (P5)"),
});

export type CommandOutput = z.output<typeof commandOutput>;

export const commandNotifications = {
  "command/output": commandOutput,
  "command/gap": commandGap,
  "command/exited": commandResult,
} as const;
