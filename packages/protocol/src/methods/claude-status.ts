import * as z from "zod";
import { defineMethod } from "../method.ts";
import { agentUsage, claudeProcess } from "./claude-list.ts";

export const claudeStatus = defineMethod({
  name: "claude/status",
  summary: "One agent: its state, what waits in it, what it has used.",
  direction: "to-daemon",
  permission: "process:execute",
  idempotent: true,
  timeoutMs: 10_000,
  errors: ["claude_process_unknown"],
  params: z.object({ process_id: z.string().min(1).max(128) }),
  result: claudeProcess.extend({
    model: z.string().optional().describe("As the agent has said it last"),
    permission_mode: z.string().optional().describe("As the agent has said it last"),
    relay_id: z.string().optional().describe("Of the turn in flight"),
    relays_waiting: z.int().describe("Messages that wait behind the turn in flight"),
    approvals_open: z.int().describe("Permission requests that wait for a decision"),
    last_activity_at: z.number().optional().describe("When the agent has said something last (Unix seconds)"),
    usage: agentUsage,
    first_seq: z.int().describe("The oldest event that claude/subscribe still has"),
    next_seq: z.int().describe("Sequence number of the next event"),
  }),
});
