import * as z from "zod";
import { sha256, systemText } from "../fields.ts";
import { defineMethod } from "../method.ts";
import { approval, approvalId } from "./approval-list.ts";

const decideParams = z
  .object({
    approval_id: approvalId,
    decision: z.enum(["allow", "deny"]),
    reason: systemText
      .max(10_000)
      .optional()
      .describe("Of a denial, told to the model word for word; kept for the record"),
    updated_input: z
      .record(z.string(), z.unknown())
      .optional()
      .describe("With `allow`: run the tool with this in place of the input; also carries the answers to a question"),
    input_hash: sha256
      .optional()
      .describe("`input_hash` of what was shown to whoever decides: a decision on another input is refused"),
    remember: z
      .literal("session")
      .optional()
      .describe("With `allow`: do not ask again for what the agent's own suggestion covers, until its session ends"),
    interrupt: z.boolean().optional().describe("With `deny`: end the turn as well"),
    on_behalf_of: z
      .string()
      .min(1)
      .max(256)
      .optional()
      .describe("Who decides, set by hl-cloud to its operator's name; of other callers it is ignored"),
  })
  .superRefine((params, context) => {
    const misplaced = params.decision === "allow" ? (["interrupt"] as const) : (["updated_input", "remember"] as const);
    for (const name of misplaced) {
      if (params[name] === undefined) continue;
      const message = `has no meaning with decision "${params.decision}"`;
      context.addIssue({ code: "custom", path: [name], message, input: params[name] });
    }
  });

export const approvalDecide = defineMethod({
  name: "approval/decide",
  summary: "Allow or deny a permission request of the agent; exactly one decision counts.",
  direction: "to-daemon",
  permission: "approval:decide",
  idempotent: false,
  timeoutMs: 10_000,
  errors: [
    "approval_unknown",
    "approval_decided",
    "approval_closed",
    "approval_input_changed",
    "no_space",
    "store_failing",
  ],
  params: decideParams,
  result: approval,
});
