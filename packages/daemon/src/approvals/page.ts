import type { ParamsOf } from "@hl/protocol/method.ts";
import type { Approval, approvalList } from "@hl/protocol/methods/approval-list.ts";
import type { ApprovalRecord, ApprovalRecords } from "../store/approval-records.ts";

export type PageWanted = ParamsOf<typeof approvalList>;

export interface Page {
  readonly approvals: Approval[];
  readonly has_more: boolean;
}

/** What one answer may hold, so that it fits a message on every way. */
const pageBytesMax = 8 * 1024 * 1024;

/** Those that wait, oldest first, then those that are over, newest first. */
export function pageOf(pending: readonly ApprovalRecord[], records: ApprovalRecords, wanted: PageWanted): Page {
  const { state, process_id: processId, approval_id: approvalId, limit } = wanted;
  const isWanted = ({ approval }: ApprovalRecord): boolean =>
    (state === undefined || approval.state === state) &&
    (processId === undefined || approval.process_id === processId) &&
    (approvalId === undefined || approval.approval_id === approvalId);
  const found = pending.filter(isWanted);
  if (approvalId !== undefined) {
    const ended = found.length > 0 ? undefined : records.find(approvalId);
    if (ended !== undefined && isWanted(ended)) found.push(ended);
  } else if (state !== "pending" && found.length <= limit) {
    found.push(...records.ended({ processId, state }, limit + 1 - found.length));
  }
  const approvals: Approval[] = [];
  let bytes = 0;
  for (const record of found.slice(0, limit)) {
    bytes += record.bytes;
    if (approvals.length > 0 && bytes > pageBytesMax) break;
    approvals.push(record.approval);
  }
  return { approvals, has_more: found.length > approvals.length };
}
