import * as z from "zod";
import { commandId } from "../fields.ts";

export const commandDecision = z
  .object({
    command_id: commandId,
    status: z.literal("dry_run"),
    decision: z.enum(["allow", "deny"]),
    rule: z.string().optional().describe("Entry of allowed_commands or blocked_commands that decides, where one does"),
    known: z
      .boolean()
      .optional()
      .describe(
        "A command with this id and these parameters is known: its result would be answered, it would not run again",
      ),
    error: z
      .object({
        code: z.int(),
        error_type: z.string(),
        message: z.string(),
        help: z.string(),
      })
      .optional()
      .describe("Of a denied one: the error that command/execute would give"),
    plan: z
      .object({
        executable: z.string().describe("The file that would run"),
        cwd: z.string(),
        sandbox: z.object({
          mode: z.boolean().describe("false: nothing holds it in"),
          network: z.enum(["host", "none", "proxy"]),
          read: z.array(z.string()).describe("Readable; its private TMPDIR is named for the run that there would be"),
          write: z.array(z.string()).describe("Readable and writable"),
        }),
        limits: z
          .object({
            timeout: z.number().optional().describe("Seconds"),
            idle_timeout: z.number().optional().describe("Seconds"),
            memory_mb: z.number().optional().describe("Of the whole tree"),
            cpu_percent: z.number().optional().describe("100 is one processor"),
            processes: z.int().optional(),
            open_files: z.int(),
            log_bytes: z.int().describe("Of its output that is kept"),
          })
          .describe("How they are kept is in system/info"),
      })
      .optional()
      .describe("Of an allowed one"),
  })
  .describe("with `dry_run`: what would be decided and why; nothing was started and nothing recorded");

export type CommandDecisionResult = z.output<typeof commandDecision>;
