import * as z from "zod";
import { environment } from "../fields.ts";
import { defineMethod } from "../method.ts";

export const claudeStart = defineMethod({
  name: "claude/start",
  summary: "Start an agent in a workspace and wait until it is ready for messages.",
  direction: "to-daemon",
  permission: "process:execute",
  idempotent: false,
  timeoutMs: 120_000,
  errors: [
    "claude_unavailable",
    "claude_session_in_use",
    "path_denied",
    "cwd_invalid",
    "process_limit",
    "sandbox_unavailable",
    "runner_unavailable",
    "queue_full",
    "no_space",
    "store_failing",
    "shutting_down",
  ],
  params: z.object({
    workspace_path: z.string().min(1).max(4_096),
    config_overrides: z
      .object({
        model: z.string().max(200).optional(),
        permission_mode: z.string().max(50).optional(),
        max_turns: z.int().min(1).optional(),
      })
      .loose()
      .optional(),
    environment: environment.optional(),
    protocol: z
      .enum(["auto", "jsonrpc", "stream-json", "acp"])
      .optional()
      .describe("Default claude_integration.protocol"),
    resume: z.string().max(200).optional().describe("Session id of a conversation to go on with"),
    args: z.array(z.string().max(4_096)).max(100).optional().describe("More arguments for the agent's executable"),
  }),
  result: z.object({
    process_id: z.string(),
    pid: z.int(),
    status: z.literal("started"),
    stdio_ready: z.boolean(),
    session_id: z.string(),
    protocol: z.string(),
    agent_version: z.string().optional(),
  }),
});
