import type { InputOf } from "@hl/protocol/method.ts";
import type { claudeStart } from "@hl/protocol/methods/claude-start.ts";
import { Option, type Command } from "commander";
import * as z from "zod";
import { verb, type Cli } from "../cli.ts";
import { exitCode } from "../exit-codes.ts";
import { escapeLine } from "../render/escape.ts";
import type { Session } from "../session.ts";

const protocols = ["auto", "stream-json", "jsonrpc", "acp"] as const;

export const startOptions = z.object({
  workspace: z.string().default("."),
  model: z.string().optional(),
  resume: z.string().optional(),
  protocol: z.enum(protocols).optional(),
});

export function addStartOptions(command: Command): Command {
  return command
    .option("--workspace <directory>", "where it works, in the VM (default: the workspace)")
    .option("--model <name>", "the model it uses")
    .option("--resume <session>", "go on with the conversation of this session id")
    .addOption(new Option("--protocol <protocol>", "how it is spoken to (default: as configured)").choices(protocols));
}

export function startParams(options: z.output<typeof startOptions>): InputOf<typeof claudeStart> {
  const { workspace, resume, model, protocol } = options;
  return {
    workspace_path: workspace,
    resume,
    protocol,
    ...(model === undefined ? {} : { config_overrides: { model } }),
  };
}

export function addClaudeStart(parent: Command, cli: Cli): void {
  addStartOptions(verb(parent, "start", "start an agent and print its process id")).action(
    (_options, command: Command) => cli.run(command, (session) => start(session, startOptions.parse(command.opts()))),
  );
}

async function start(session: Session, options: z.output<typeof startOptions>): Promise<number> {
  using connection = await session.connect();
  const result = await connection.call("claude/start", startParams(options));
  if (session.json) session.printJson(result);
  else {
    session.out.line(escapeLine(result.process_id));
    if (session.out.isTerminal) session.notice(`talk with it: hl-client claude chat ${result.process_id}`);
  }
  return exitCode.ok;
}
