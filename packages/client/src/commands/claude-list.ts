import type { ClaudeProcess } from "@hl/protocol/methods/claude-list.ts";
import type { Command } from "commander";
import { verb, type Cli } from "../cli.ts";
import { exitCode } from "../exit-codes.ts";
import type { Tone } from "../render/paint.ts";
import { ago } from "../render/quantity.ts";
import type { Session } from "../session.ts";

export function addClaudeList(parent: Command, cli: Cli): void {
  verb(parent, "list", "the agents that run or have ended").action((_options, command: Command) =>
    cli.run(command, list),
  );
}

async function list(session: Session): Promise<number> {
  using connection = await session.connect();
  const result = await connection.call("claude/list", {});
  if (session.json) {
    session.printJson(result);
    return exitCode.ok;
  }
  const columns = [
    { title: "PROCESS ID" },
    { title: "STATUS" },
    { title: "PROTOCOL" },
    { title: "TURNS", align: "right" },
    { title: "STARTED" },
    { title: "SESSION" },
    { title: "WORKSPACE" },
  ] as const;
  const now = session.nowSeconds;
  const rows = result.processes.map((agent) => [
    agent.process_id,
    { text: agent.status, tone: toneByStatus[agent.status] },
    agent.protocol,
    String(agent.turns),
    ago(now - agent.started_at),
    agent.session_id,
    agent.workspace_path,
  ]);
  session.printTable(columns, rows);
  return exitCode.ok;
}

const toneByStatus: Readonly<Record<ClaudeProcess["status"], Tone>> = {
  starting: "plain",
  idle: "plain",
  running: "good",
  requires_action: "warning",
  restarting: "warning",
  stopping: "plain",
  ended: "faint",
};
