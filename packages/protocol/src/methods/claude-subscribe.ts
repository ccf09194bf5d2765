import * as z from "zod";
import { unixTime } from "../fields.ts";
import { defineMethod } from "../method.ts";
import { claudeProcess } from "./claude-list.ts";

/** One event of an agent's transcript. */
export const agentItem = z.object({
  process_id: z.string(),
  seq: z
    .int()
    .min(1)
    .optional()
    .describe("Counts from 1 for each agent. Absent in what is not kept: type `delta`, of which some may be missing"),
  timestamp: unixTime("When the daemon read it"),
  type: z.string().describe("docs/agents.md has the table of types and their data"),
  session_id: z.string(),
  relay_id: z.string().optional().describe("Of the turn that it belongs to"),
  omitted_bytes: z
    .int()
    .optional()
    .describe("Of `data`: cut, because one event has a largest size; the agent's log has the whole"),
  data: z.unknown(),
});

export type AgentItem = z.output<typeof agentItem>;

export const agentItemGap = z.object({
  process_id: z.string(),
  from: z.int(),
  to: z.int().describe("These sequence numbers are not kept here, or could not be stored"),
});

export const claudeSubscribe = defineMethod({
  name: "claude/subscribe",
  summary: "Receive what an agent says and does: from a sequence number on when asked, then as it happens.",
  direction: "to-daemon",
  permission: "process:execute",
  idempotent: true,
  timeoutMs: 10_000,
  errors: ["claude_process_unknown"],
  params: z.object({
    process_id: z.string().min(1).max(128),
    from_seq: z
      .int()
      .min(1)
      .optional()
      .describe("The first that is wanted: 1 is everything that is kept; without it only new ones"),
  }),
  result: z.object({
    process_id: z.string(),
    status: claudeProcess.shape.status,
    first_seq: z.int().describe("The oldest that is kept"),
    next_seq: z.int().describe("Sequence number of the next event; the last one is of type `ended`"),
  }),
  notifications: { "claude/event": agentItem, "claude/gap": agentItemGap },
});
