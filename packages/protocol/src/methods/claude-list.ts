import { z } from "zod";
import { defineMethod } from "../method.ts";

export const claudeProcess = z.object({
  process_id: z.string(),
  pid: z.int(),
  status: z.enum(["starting", "idle", "running", "requires_action", "stopping", "ended"]),
  session_id: z.string(),
  protocol: z.string(),
  workspace_path: z.string(),
  agent_version: z.string().optional(),
  started_at: z.number(),
  ended_at: z.number().optional(),
  exit_code: z.int().optional(),
  turns: z.int(),
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
