import * as z from "zod";
import { sha256, unixTime } from "../fields.ts";
import { defineMethod } from "../method.ts";

/** `pending` is the only state that changes. */
export const approvalState = z
  .enum(["pending", "approved", "denied", "withdrawn", "expired", "lost"])
  .describe(
    "`withdrawn`: the agent asks no longer; `expired`: nobody answered in time; `lost`: the agent's process ended first",
  );

export const approvalId = z.string().min(1).max(128);

const decider = z
  .object({
    subject: z.string().describe("Name of the caller as the daemon authenticated it; `expiry` where time decided"),
    role: z.string().optional(),
    via: z.enum(["socket", "http", "websocket", "cloud", "internal"]),
    on_behalf_of: z.string().optional().describe("The operator that the cloud names"),
  })
  .describe("Who decided");

export const approval = z.object({
  approval_id: approvalId,
  state: approvalState,
  tool_name: z.string(),
  input: z.record(z.string(), z.unknown()).describe("What the tool would be given"),
  input_hash: sha256.describe("SHA-256 of the input as JSON with sorted keys; a decision names it"),
  process_id: z.string(),
  session_id: z.string().optional(),
  relay_id: z.string().optional().describe("The relay whose turn waits for it"),
  tool_use_id: z.string().optional(),
  subagent_id: z.string().optional(),
  title: z.string().optional().describe("As the agent puts it"),
  description: z.string().optional().describe("As the agent puts it"),
  reason: z.string().optional().describe("Why the agent asks"),
  blocked_path: z.string().optional(),
  requires_user_interaction: z.boolean().describe("A question to a person: `updated_input` carries the answers"),
  can_remember: z.boolean().describe('Whether `remember: "session"` would have an effect'),
  can_edit: z
    .literal(false)
    .optional()
    .describe("Present where the agent cannot be told of another input: `updated_input` would be a denial"),
  created_at: unixTime("Asked"),
  expires_at: unixTime("Decided by the default where nobody does before"),
  decided_at: unixTime("End of the pending state").optional(),
  decided_by: decider.optional(),
  decision: z.enum(["allow", "deny"]).optional().describe("What the agent was told; missing where it was told nothing"),
  decision_reason: z.string().optional(),
  updated_input: z.record(z.string(), z.unknown()).optional().describe("What the tool got in place of `input`"),
  remember: z.literal("session").optional().describe("The agent was told not to ask again in this session"),
  interrupt: z.boolean().optional().describe("The denial ended the turn as well"),
});

export type Approval = z.output<typeof approval>;
export type ApprovalState = Approval["state"];
export type Decider = NonNullable<Approval["decided_by"]>;

export const approvalList = defineMethod({
  name: "approval/list",
  summary: "The agent's permission requests: first those that wait, oldest first, then those that ended, newest first.",
  direction: "to-daemon",
  permission: "approval:decide",
  idempotent: true,
  timeoutMs: 10_000,
  errors: [],
  params: z.object({
    state: approvalState.optional(),
    process_id: z.string().min(1).max(128).optional(),
    approval_id: approvalId.optional().describe("Only this one"),
    limit: z.int().min(1).max(1000).default(100).describe("Approvals in the answer; large inputs make it fewer"),
  }),
  result: z.object({
    approvals: z.array(approval),
    has_more: z.boolean().describe("There are more than the answer has room for"),
  }),
});
