import * as z from "zod";
import { commandId, wait } from "../fields.ts";
import { defineMethod } from "../method.ts";
import { commandResult } from "./command-result.ts";

export const commandStatus = defineMethod({
  name: "command/status",
  summary: "The present state, or the recorded end, of a command.",
  direction: "to-daemon",
  permission: "process:execute",
  idempotent: true,
  timeoutMs: null, // The caller's `wait` decides; without it the answer comes at once.
  errors: ["command_unknown"],
  params: z.object({
    command_id: commandId,
    wait: wait(
      "Answer at the end, or with the present state when so many seconds have passed; at once without it",
    ).optional(),
  }),
  result: commandResult,
});
