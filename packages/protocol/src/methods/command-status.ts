import { z } from "zod";
import { commandId } from "../fields.ts";
import { defineMethod } from "../method.ts";
import { commandResult } from "./command-result.ts";

export const commandStatus = defineMethod({
  name: "command/status",
  summary: "The present state, or the recorded end, of a command.",
  direction: "to-daemon",
  permission: "process:execute",
  idempotent: true,
  timeoutMs: 10_000,
  errors: ["command_unknown"],
  params: z.object({ command_id: commandId }),
  result: commandResult,
});
