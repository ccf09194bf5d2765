import type { Command } from "commander";
import * as z from "zod";
import { verb, type Cli } from "../cli.ts";
import { exitCode } from "../exit-codes.ts";
import { escapeLine } from "../render/escape.ts";

const stopOptions = z.object({ force: z.boolean().default(false) });

export function addClaudeStop(parent: Command, cli: Cli): void {
  verb(parent, "stop", "stop an agent with its whole process tree")
    .argument("<process-id>", "see claude list")
    .option("--force", "kill it at once")
    .action((processId: string, _options, command: Command) =>
      cli.run(command, async (session) => {
        const { force } = stopOptions.parse(command.opts());
        using connection = await session.connect();
        const result = await connection.call("claude/stop", { process_id: processId, force });
        if (session.json) session.printJson(result);
        else session.out.line(escapeLine(`${result.process_id} ${result.status}, exit code ${result.exit_code}`));
        return exitCode.ok;
      }),
    );
}
