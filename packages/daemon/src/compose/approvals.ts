import type { Config } from "@hl/config/load.ts";
import type { Clock } from "@hl/core/clock.ts";
import type { Logger } from "@hl/core/logger.ts";
import type { Approval } from "@hl/protocol/methods/approval-list.ts";
import { Approvals } from "../approvals/approvals.ts";
import { defaultApprovalLimits } from "../approvals/limits.ts";
import { ApprovalPolicy } from "../approvals/policy.ts";
import type { ToolJudge } from "../claude/tool-judge.ts";
import type { Events } from "../events/events.ts";
import { ApprovalRecords } from "../store/approval-records.ts";
import type { Database } from "../store/database.ts";
import type { Audit } from "./audit.ts";

export interface ApprovalPorts {
  /** Looked at whenever one is asked or ends: they may change on the way. */
  readonly settings: () => Pick<
    Config["daemon"]["claude_integration"]["approvals"],
    "timeout_seconds" | "default" | "rules"
  >;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly database: Database;
  readonly events: Events;
  readonly audit: Audit;
}

/** Permission requests of agents, joined to the agents, to events and to the audit. */
export function composeApprovals(ports: ApprovalPorts): { readonly approvals: Approvals; readonly judge: ToolJudge } {
  const { settings, clock, events, audit } = ports;
  const approvals = new Approvals({
    records: new ApprovalRecords(ports.database),
    clock,
    logger: ports.logger.child({ part: "approvals" }),
    limits: defaultApprovalLimits,
    get timeoutMs() {
      return settings().timeout_seconds * 1000;
    },
    get byDefault() {
      return settings().default;
    },
    onRequested: (approval) =>
      events.emit("approval.requested", aboutOf(approval), "info", `${approval.approval_id}:requested`),
    onEnded: (approval) => {
      const severity = approval.state === "approved" ? "info" : "warning";
      events.emit("approval.decided", endOf(approval), severity, `${approval.approval_id}:${approval.state}`);
      if (approval.decision !== undefined) audit.approval(approval);
    },
    onDecisionRefused: audit.decisionRefused,
    onRefused: ({ processId, toolName, toolUseId }, reason) =>
      audit.toolCall({ decision: "deny", processId, toolName, toolUseId, reason }),
  });
  const policy = new ApprovalPolicy({
    get rules() {
      return settings().rules;
    },
    approvals,
    onDecision: audit.toolCall,
  });
  return {
    approvals,
    judge: {
      ask: ({ processId, workspacePath: cwd }, request) => policy.ask({ ...request, processId, cwd }),
      judge: ({ processId, workspacePath }, use) => policy.judge({ ...use, processId, cwd: use.cwd ?? workspacePath }),
      attached: ({ processId }, openRequests) => approvals.attached(processId, openRequests),
    },
  };
}

/** Inputs may hold secrets, so an event tells what is asked without them (X4). */
function aboutOf(approval: Approval): object {
  const { approval_id, tool_name, input_hash, process_id, session_id, relay_id, tool_use_id, expires_at } = approval;
  return { approval_id, tool_name, input_hash, process_id, session_id, relay_id, tool_use_id, expires_at };
}

function endOf(approval: Approval): object {
  const { state, decision, decided_at, decided_by, remember, updated_input } = approval;
  const changed = updated_input === undefined ? {} : { input_changed: true };
  return { ...aboutOf(approval), state, decision, decided_at, decided_by, remember, ...changed };
}
