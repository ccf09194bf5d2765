import * as z from "zod";
import { commandId } from "../fields.ts";
import { defineMethod } from "../method.ts";
import { commandReason } from "./command-result.ts";

export const commandList = defineMethod({
  name: "command/list",
  summary: "The commands that are running or still remembered, newest first.",
  direction: "to-daemon",
  permission: "process:execute",
  idempotent: true,
  timeoutMs: 10_000,
  errors: [],
  params: z.object({ limit: z.int().min(1).max(1_000).default(100) }),
  result: z.object({
    commands: z.array(
      z.object({
        command_id: commandId,
        command: z.string(),
        args: z.array(z.string()),
        status: z.enum(["started", "completed", "failed", "timeout"]),
        reason: commandReason.optional(),
        exit_code: z.int().optional(),
        process_id: z.int(),
        lingering: z
          .boolean()
          .optional()
          .describe("It has ended and left something running, which command/cancel ends (P1)"),
        started_at: z.number(),
        ended_at: z.number().optional(),
      }),
    ),
  }),
});
