import type { Command } from "commander";
import { statusLines } from "../chat/chat-help.ts";
import { verb, type Cli } from "../cli.ts";
import { exitCode } from "../exit-codes.ts";

export function addClaudeStatus(parent: Command, cli: Cli): void {
  verb(parent, "status", "one agent: its state, what waits, what it has used")
    .argument("<process-id>", "see claude list")
    .action((processId: string, _options, command: Command) =>
      cli.run(command, async (session) => {
        using connection = await session.connect();
        const status = await connection.call("claude/status", { process_id: processId });
        if (session.json) session.printJson(status);
        else for (const line of statusLines(status, session.paint)) session.out.line(line);
        return exitCode.ok;
      }),
    );
}
