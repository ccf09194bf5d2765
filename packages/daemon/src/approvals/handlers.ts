import { HlError } from "@hl/protocol/errors.ts";
import type { Caller, Handlers } from "@hl/protocol/method.ts";
import type { DaemonMethods } from "@hl/protocol/methods.ts";
import type { Decider } from "@hl/protocol/methods/approval-list.ts";
import type { Approvals } from "./approvals.ts";

type ApprovalMethods = Extract<keyof DaemonMethods, `approval/${string}`>;

export function approvalHandlers(approvals: Approvals): Pick<Handlers<DaemonMethods>, ApprovalMethods> {
  return {
    "approval/list": async (params) => approvals.list(params),
    "approval/decide": (params, { caller }) => approvals.decide(params, deciderOf(caller, params.on_behalf_of)),
    "approval/subscribe": async ({ process_id }, call) => {
      if (!call.canNotify)
        throw new HlError("invalid_request", "this transport carries no notifications: use the socket or a WebSocket");
      const notify = (approval: unknown): Promise<void> => call.notify("approval/changed", approval);
      call.stream((signal) => approvals.follow(process_id, notify, signal));
      return { pending: approvals.pendingCount(process_id) };
    },
  };
}

/** Only the cloud may speak for others: it has judged its operators itself. */
function deciderOf({ subject, role, via }: Caller, onBehalfOf: string | undefined): Decider {
  return { subject, role, via, ...(via === "cloud" && onBehalfOf !== undefined ? { on_behalf_of: onBehalfOf } : {}) };
}
