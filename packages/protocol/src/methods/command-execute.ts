import * as z from "zod";
import { columns, commandId, environment, rows, seconds, systemText, wait } from "../fields.ts";
import { defineMethod } from "../method.ts";
import { commandDecision } from "./command-decision.ts";
import { commandNotifications, commandResult, outputEncoding } from "./command-result.ts";

export const commandExecute = defineMethod({
  name: "command/execute",
  summary: "Run an executable in the sandbox; answers at its end, or at once and then streams its output.",
  direction: "to-daemon",
  permission: "process:execute",
  idempotent: true, // The command_id makes it so (C1).
  timeoutMs: null,
  errors: [
    "command_blocked",
    "command_not_allowed",
    "path_denied",
    "process_limit",
    "command_not_found",
    "command_id_conflict",
    "user_not_permitted",
    "sandbox_unavailable",
    "cwd_invalid",
    "runner_unavailable",
    "queue_full",
    "no_space",
    "store_failing",
    "shutting_down",
  ],
  params: z.object({
    command_id: commandId,
    command: z
      .string()
      .min(1)
      .max(4_096)
      .describe("An executable: a name that is looked up in PATH, or a path; never a shell line"),
    args: z.array(systemText.max(131_071)).max(10_000).default([]).describe("Given to the executable untouched"),
    cwd: systemText.min(1).max(4_096).optional().describe("Default: the workspace"),
    env: environment.optional(),
    timeout: seconds("Default process_timeout, at most max_execution_time").optional(),
    idle_timeout: seconds("Stop it when it writes nothing for so long").optional(),
    stream_output: z
      .boolean()
      .default(false)
      .describe("Answer `started` at once, then command/output and command/exited"),
    output_encoding: outputEncoding,
    wait: wait(
      "How long this caller waits for the end: then the answer is the present state (`started`) and the command goes on. Limits of the command itself are `timeout` and `idle_timeout`",
    ).optional(),
    stdin: z.boolean().default(false).describe("Keep standard input open for command/input; else it is /dev/null"),
    pty: z
      .object({ rows: rows.default(24), columns: columns.default(80) })
      .optional()
      .describe(
        "Run it in a terminal of this size, its keyboard open for command/input: everything it writes is `stdout`, and TERM is xterm-256color unless given",
      ),
    dry_run: z
      .boolean()
      .optional()
      .describe("Answer what would be decided and why (status `dry_run`); nothing is started and nothing recorded"),
    user: z.string().min(1).max(64).optional().describe("Default process_management.default_user"),
  }),
  result: z.union([commandResult, commandDecision]),
  notifications: commandNotifications,
});
