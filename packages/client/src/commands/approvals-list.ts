import type { Approval, ApprovalState } from "@hl/protocol/methods/approval-list.ts";
import type { Command } from "commander";
import * as z from "zod";
import { verb, type Cli } from "../cli.ts";
import { exitCode } from "../exit-codes.ts";
import { gistOf } from "../render/approval.ts";
import type { Tone } from "../render/paint.ts";
import { ago, duration } from "../render/quantity.ts";
import type { Session } from "../session.ts";

const listOptions = z.object({ all: z.boolean().optional(), agent: z.string().optional() });

export function addApprovalsList(parent: Command, cli: Cli): void {
  verb(parent, "list", "permission requests of agents that wait for somebody")
    .option("--all", "those that are over too, newest first")
    .option("--agent <process-id>", "only of this agent")
    .action((_options, command: Command) =>
      cli.run(command, (session) => list(session, listOptions.parse(command.opts()))),
    );
}

async function list(session: Session, { all, agent }: z.output<typeof listOptions>): Promise<number> {
  using connection = await session.connect();
  const state = all === true ? undefined : "pending";
  const result = await connection.call("approval/list", { state, process_id: agent });
  if (session.json) {
    session.printJson(result);
    return exitCode.ok;
  }
  const columns = [
    { title: "APPROVAL ID" },
    { title: "STATE" },
    { title: "ASKED" },
    { title: "WAITS FOR" },
    { title: "TOOL" },
    { title: "WHAT" },
  ];
  const now = session.nowSeconds;
  const rows = result.approvals.map((approval) => [
    approval.approval_id,
    { text: approval.state, tone: toneByState[approval.state] },
    ago(now - approval.created_at),
    approval.state === "pending" ? duration(approval.expires_at - now) : decidedBy(approval),
    approval.tool_name,
    gistOf(approval),
  ]);
  session.printTable(columns, rows);
  if (result.has_more) session.notice("there are more than one answer holds: these are the first");
  return exitCode.ok;
}

function decidedBy({ decided_by: by }: Approval): string {
  return by === undefined ? "" : `by ${by.on_behalf_of ?? by.subject}`;
}

const toneByState: Readonly<Record<ApprovalState, Tone>> = {
  pending: "warning",
  approved: "good",
  denied: "bad",
  withdrawn: "faint",
  expired: "faint",
  lost: "faint",
};
