import * as z from "zod";
import { defineMethod } from "../method.ts";

/** What an agent has used since it was started, over restarts of the daemon: everything is counted at the end of its turn, once. */
export const agentUsage = z.object({
  turns: z.int().describe("Turns that have ended"),
  errors: z.int().describe("Of these, those that ended with an error"),
  tool_calls: z.int(),
  input_tokens: z.int().describe("Not from a cache"),
  output_tokens: z.int(),
  cache_read_tokens: z.int(),
  cache_creation_tokens: z.int(),
  cost_usd: z.number().describe("As the agent estimates it; 0 where it says nothing"),
});

export type AgentUsage = z.output<typeof agentUsage>;

export const claudeProcess = z.object({
  process_id: z.string(),
  pid: z.int(),
  status: z
    .enum(["starting", "idle", "running", "requires_action", "restarting", "stopping", "ended"])
    .describe("restarting = its process has ended unasked, and another is about to go on with its session"),
  session_id: z.string(),
  protocol: z.string(),
  workspace_path: z.string(),
  agent_version: z.string().optional(),
  started_at: z.number(),
  ended_at: z.number().optional(),
  exit_code: z.int().optional().describe("Of the last process, where none runs"),
  turns: z.int(),
  usage: agentUsage.optional(),
  memory_mb: z
    .number()
    .optional()
    .describe("MiB of its process and all below it, as last seen; missing where nobody knows"),
  approvals_open: z.int().optional().describe("Permission requests that wait for a decision"),
  restarts: z.int().optional().describe("How often its process was started again"),
});

export type ClaudeProcess = z.output<typeof claudeProcess>;

export const claudeList = defineMethod({
  name: "claude/list",
  summary: "The agents that run, whichever daemon started them, and the last 100 that have ended.",
  direction: "to-daemon",
  permission: "process:execute",
  idempotent: true,
  timeoutMs: 10_000,
  errors: [],
  params: z.object({}),
  result: z.object({ processes: z.array(claudeProcess) }),
});
