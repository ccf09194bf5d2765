import { commandSignal } from "@hl/protocol/methods/command-signal.ts";
import { InvalidArgumentError, type Command } from "commander";
import * as z from "zod";
import { verb, type Cli } from "../cli.ts";
import { exitCode } from "../exit-codes.ts";
import { ClientFailure } from "../failure.ts";
import { duration } from "../render/quantity.ts";
import { escapeLine } from "../render/escape.ts";
import type { Session } from "../session.ts";

const signalNames = commandSignal.params.shape.signal;

const killOptions = z.object({ grace: z.number().optional(), signal: signalNames.optional() });

export function addKill(parent: Command, cli: Cli): void {
  verb(parent, "kill", "stop a command with its whole process tree, or send its main process a signal")
    .argument("<id>", "command id, see ps")
    .option("--grace <seconds>", "between SIGTERM and SIGKILL, 0 to 30", graceSeconds)
    .option("--signal <name>", `only send this signal: ${signalNames.options.map(short).join(", ")}`, signalName)
    .action((id: string, _options, command: Command) =>
      cli.run(command, (session) => kill(session, id, killOptions.parse(command.opts()))),
    );
}

async function kill(session: Session, id: string, { grace, signal }: z.output<typeof killOptions>): Promise<number> {
  if (grace !== undefined && signal !== undefined) {
    throw new ClientFailure("usage", "--grace and --signal exclude each other: a signal is sent and not waited for");
  }
  using connection = await session.connect();
  if (signal !== undefined) {
    const result = await connection.call("command/signal", { command_id: id, signal });
    if (session.json) session.printJson(result);
    else session.out.line(result.delivered ? `${signal} was sent` : "the command had ended already");
    return exitCode.ok;
  }
  const result = await connection.call("command/cancel", { command_id: id, grace });
  if (session.json) session.printJson(result);
  else {
    const how = [result.reason ?? result.status, result.signal ?? result.exit_code].filter(
      (word) => word !== undefined,
    );
    session.out.line(
      escapeLine(`${result.command_id} ended: ${how.join(" ")}, after ${duration(result.execution_time / 1000)}`),
    );
  }
  return exitCode.ok;
}

function graceSeconds(text: string): number {
  const value = Number(text);
  if (text.trim() !== "" && value >= 0 && value <= 30) return value;
  throw new InvalidArgumentError("It must be a number of seconds from 0 to 30.");
}

function signalName(text: string): string {
  const name = `SIG${short(text.toUpperCase())}`;
  if (signalNames.safeParse(name).success) return name;
  throw new InvalidArgumentError(`It must be one of ${signalNames.options.map(short).join(", ")}.`);
}

function short(name: string): string {
  return name.replace(/^SIG/, "");
}
