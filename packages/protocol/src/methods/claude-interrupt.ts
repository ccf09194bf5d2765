import * as z from "zod";
import { defineMethod } from "../method.ts";

export const claudeInterrupt = defineMethod({
  name: "claude/interrupt",
  summary: "End the agent's present turn; its relay is answered as interrupted and the agent stays usable.",
  direction: "to-daemon",
  permission: "process:execute",
  idempotent: true,
  timeoutMs: 10_000,
  errors: ["claude_process_unknown", "claude_exited", "claude_timeout", "claude_refused"],
  params: z.object({ process_id: z.string().min(1).max(128) }),
  result: z.object({ process_id: z.string(), interrupted: z.boolean().describe("False when no turn was in flight") }),
});
