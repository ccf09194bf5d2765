import type { Command } from "commander";
import { verb, type Cli } from "../cli.ts";
import { exitCode } from "../exit-codes.ts";

export function addClaudeInterrupt(parent: Command, cli: Cli): void {
  verb(parent, "interrupt", "end the agent's present turn; the agent stays usable")
    .argument("<process-id>", "see claude list")
    .action((processId: string, _options, command: Command) =>
      cli.run(command, async (session) => {
        using connection = await session.connect();
        const result = await connection.call("claude/interrupt", { process_id: processId });
        if (session.json) session.printJson(result);
        else session.out.line(result.interrupted ? "interrupted" : "no turn was in flight");
        return exitCode.ok;
      }),
    );
}
