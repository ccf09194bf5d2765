import * as z from "zod";
import { seconds } from "../fields.ts";
import { defineMethod } from "../method.ts";

export const claudeRelay = defineMethod({
  name: "claude/relay",
  summary: "Send a message to the agent and wait for the end of its turn.",
  direction: "to-daemon",
  permission: "process:execute",
  idempotent: false, // A relay_id makes it so.
  timeoutMs: null,
  errors: [
    "claude_process_unknown",
    "claude_timeout",
    "claude_exited",
    "claude_busy",
    "no_space",
    "store_failing",
    "outcome_unknown",
    "shutting_down",
  ],
  params: z.object({
    process_id: z.string().min(1).max(128),
    message: z
      .unknown()
      .describe("A plain string, a user message, or a JSON-RPC request, as the agent's protocol has it"),
    timeout: seconds("Default claude_integration.relay_timeout; stands still while an approval is open").optional(),
    steer: z
      .boolean()
      .default(false)
      .describe(
        "Sent at once while a turn runs: the agent takes it into that turn, which then answers both, or makes a turn of its own of it next. Only stream-json; else -32602",
      ),
    relay_id: z
      .uuid()
      .optional()
      .describe("Sent again it is not run twice: it gets the same turn's result, also after a restart of the daemon"),
  }),
  result: z.object({
    process_id: z.string(),
    response: z.unknown(),
    execution_time: z.number().describe("Milliseconds"),
    relay_id: z.string(),
  }),
  notifications: {
    "claude/message": z.object({ process_id: z.string(), type: z.string(), data: z.unknown() }),
  },
});
