import * as z from "zod";
import { commandId } from "../fields.ts";
import { defineMethod } from "../method.ts";
import { commandReason } from "./command-result.ts";

const commandUsage = z.object({
  cpu_time: z.number().describe("Milliseconds of the whole tree since the start"),
  memory_mb: z
    .number()
    .optional()
    .describe("MiB of the whole tree that the kernel could take back only by swapping; missing where it is not known"),
  source: z
    .enum(["cgroup", "processes"])
    .describe("The kernel's figures of its control group, or a sum over its processes"),
});

export const commandList = defineMethod({
  name: "command/list",
  summary: "The commands that are running or still remembered, newest first.",
  direction: "to-daemon",
  permission: "process:execute",
  idempotent: true,
  timeoutMs: 10_000,
  errors: [],
  params: z.object({
    limit: z.int().min(1).max(1_000).default(100),
    running_first: z
      .boolean()
      .default(false)
      .describe("What runs, or has left something running, stands before the rest, however old it is"),
    usage: z.boolean().default(false).describe("Measure what each that runs takes at this moment"),
    args_bytes_max: z
      .int()
      .min(0)
      .optional()
      .describe("Of the arguments of one command in UTF-8, each counted one byte longer; without it all are there"),
  }),
  result: z.object({
    commands: z.array(
      z.object({
        command_id: commandId,
        command: z.string(),
        args: z.array(z.string()),
        args_truncated: z.boolean().optional().describe("There are more of them, or the last one goes on"),
        user: z.string().optional().describe("Whose processes they are"),
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
        usage: commandUsage
          .optional()
          .describe("Where it was asked for, of what runs; missing where nobody can see it"),
      }),
    ),
  }),
});
