import type { Command } from "commander";
import { z } from "zod";
import { verb, type Cli } from "../cli.ts";
import { exitCode } from "../exit-codes.ts";
import { escapeLine } from "../render/escape.ts";
import type { Session } from "../session.ts";

const startOptions = z.object({
  workspace: z.string().default("."),
  model: z.string().optional(),
  resume: z.string().optional(),
});

export function addClaudeStart(parent: Command, cli: Cli): void {
  verb(parent, "start", "start an agent and print its process id")
    .option("--workspace <directory>", "where it works, in the VM (default: the workspace)")
    .option("--model <name>", "the model it uses")
    .option("--resume <session>", "go on with the conversation of this session id")
    .action((_options, command: Command) =>
      cli.run(command, (session) => start(session, startOptions.parse(command.opts()))),
    );
}

async function start(session: Session, options: z.output<typeof startOptions>): Promise<number> {
  using connection = await session.connect();
  const result = await connection.call("claude/start", {
    workspace_path: options.workspace,
    resume: options.resume,
    ...(options.model === undefined ? {} : { config_overrides: { model: options.model } }),
  });
  if (session.json) session.printJson(result);
  else {
    session.out.line(escapeLine(result.process_id));
    if (session.out.isTerminal) session.notice(`say something: hl-client claude send ${result.process_id} "…"`);
  }
  return exitCode.ok;
}
