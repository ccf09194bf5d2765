import type { Command } from "commander";
import { ApprovalWatch } from "../approvals/approval-watch.ts";
import { verb, type Cli } from "../cli.ts";

export function addApprovalsWatch(parent: Command, cli: Cli): void {
  verb(parent, "watch", "show each permission request as it comes; in a terminal, answer it with one key; until Ctrl-C")
    .option("--agent <process-id>", "only of this agent")
    .action((options: { agent?: string }, command: Command) =>
      cli.run(command, (session) => new ApprovalWatch(session, options.agent).run()),
    );
}
