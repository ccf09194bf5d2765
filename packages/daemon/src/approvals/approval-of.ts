import { createHash, randomUUID } from "node:crypto";
import { canonicalJson } from "@hl/core/canonical-json.ts";
import { HlError } from "@hl/protocol/errors.ts";
import type { Approval } from "@hl/protocol/methods/approval-list.ts";
import type { ApprovalRecord } from "../store/approval-records.ts";
import type { AskedCall, Outcome } from "./tool-call.ts";

/** The hash that binds a decision to what was shown. */
export function inputHashOf(input: unknown): string {
  return createHash("sha256").update(canonicalJson(input)).digest("hex");
}

/**
 * Under what a request is found again: the agent's own id, and its input where the id was taken by a request with another one. An agent that
 * counts anew in each turn must not get the decision about what it asked then.
 */
export function requestKeys({ agentRequestId, input }: Pick<AskedCall, "agentRequestId" | "input">): {
  readonly plain: string;
  readonly withInput: string;
} {
  return { plain: agentRequestId, withInput: `${agentRequestId} ${inputHashOf(input)}` };
}

/** Whether the agent names the request with this key by that id. */
export function isKeyOf(key: string, agentRequestId: string): boolean {
  return key === agentRequestId || (key.startsWith(`${agentRequestId} `) && key.length === agentRequestId.length + 65);
}

/** @param key see `requestKeys` */
export function newRecord(asked: AskedCall, nowMs: number, timeoutMs: number, key: string): ApprovalRecord {
  const optional = {
    session_id: asked.sessionId,
    relay_id: asked.relayId,
    tool_use_id: asked.toolUseId,
    subagent_id: asked.subagentId,
    title: asked.title,
    description: asked.description,
    reason: asked.reason,
    blocked_path: asked.blockedPath,
  };
  const approval: Approval = {
    approval_id: `approval-${randomUUID()}`,
    state: "pending",
    tool_name: asked.toolName,
    input: asked.input,
    input_hash: inputHashOf(asked.input),
    process_id: asked.processId,
    ...optional,
    requires_user_interaction: asked.requiresUserInteraction,
    can_remember: asked.canRemember,
    ...(asked.canEdit === false ? { can_edit: false as const } : {}),
    created_at: nowMs / 1000,
    expires_at: (nowMs + timeoutMs) / 1000,
  };
  return recordOf(approval, key);
}

export function recordOf(approval: Approval, agentRequestId: string): ApprovalRecord {
  return { approval, agentRequestId, bytes: Buffer.byteLength(JSON.stringify(approval)) };
}

/** What the agent is told of an approval that has ended. Anything that is not clearly an "allow" is a denial (A3). */
export function outcomeOf(approval: Approval): Outcome {
  const { state, decision, decision_reason: reason, interrupt } = approval;
  if (decision === "allow") {
    return { behavior: "allow", updatedInput: approval.updated_input, remember: approval.remember };
  }
  const message = {
    denied: "A person has denied this.",
    expired: "Nobody answered the permission request in time.",
  }[state as string];
  return {
    behavior: "deny",
    message: reason ?? message ?? `The permission request is ${state}.`,
    ...(interrupt === undefined ? {} : { interrupt }),
  };
}

/** The error for a decision that comes too late, with what became of it instead. */
export function tooLate(approval: Approval): HlError {
  const { approval_id, state, decision, decided_at, decided_by } = approval;
  const facts = { approval_id, state, decision, decided_at, decided_by };
  if (state === "approved" || state === "denied") {
    const who = decided_by?.on_behalf_of ?? decided_by?.subject ?? "somebody";
    return new HlError("approval_decided", `the approval was ${state} by ${who} already`, facts);
  }
  const how = { withdrawn: "was withdrawn by the agent", expired: "has expired", lost: "was lost with its agent" };
  const said = state === "pending" ? "waits no longer" : how[state];
  return new HlError("approval_closed", `the approval ${said}`, facts);
}
