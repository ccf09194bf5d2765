import * as z from "zod";
import { commandId } from "../fields.ts";
import { defineMethod } from "../method.ts";
import { commandResult } from "./command-result.ts";

export const commandCancel = defineMethod({
  name: "command/cancel",
  summary: "Stop a command: SIGTERM, a grace, then its whole process tree is gone (P1). Answers its end.",
  direction: "to-daemon",
  permission: "process:execute",
  idempotent: true,
  timeoutMs: 60_000,
  errors: ["command_unknown"],
  params: z.object({
    command_id: commandId,
    grace: z
      .number()
      .min(0)
      .max(30)
      .optional()
      .describe("Seconds between SIGTERM and SIGKILL; default stop_grace_seconds"),
  }),
  result: commandResult,
});
