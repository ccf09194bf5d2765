import type { ResultOf } from "@hl/protocol/method.ts";
import type { commandList } from "@hl/protocol/methods/command-list.ts";
import type { Command } from "commander";
import * as z from "zod";
import { parsers, verb, type Cli } from "../cli.ts";
import { exitCode } from "../exit-codes.ts";
import type { Tone } from "../render/paint.ts";
import { ago, duration } from "../render/quantity.ts";
import type { Cell } from "../render/table.ts";
import type { Session } from "../session.ts";

type Listed = ResultOf<typeof commandList>["commands"][number];

const psOptions = z.object({ limit: z.number().optional() });

export function addPs(parent: Command, cli: Cli): void {
  verb(parent, "ps", "the commands that run or are still remembered, newest first")
    .option("--limit <count>", "list at most so many", parsers.wholeNumber)
    .action((_options, command: Command) =>
      cli.run(command, (session) => ps(session, psOptions.parse(command.opts()))),
    );
}

async function ps(session: Session, options: z.output<typeof psOptions>): Promise<number> {
  using connection = await session.connect();
  const result = await connection.call("command/list", options);
  if (session.json) {
    session.printJson(result);
    return exitCode.ok;
  }
  const columns = [
    { title: "ID" },
    { title: "STATUS" },
    { title: "EXIT", align: "right" },
    { title: "STARTED" },
    { title: "TOOK", align: "right" },
    { title: "COMMAND" },
  ] as const;
  session.printTable(
    columns,
    result.commands.map((listed) => rowOf(listed, session.nowSeconds)),
  );
  return exitCode.ok;
}

const toneByStatus: Readonly<Record<Listed["status"], Tone>> = {
  started: "good",
  completed: "plain",
  failed: "bad",
  timeout: "warning",
};

function rowOf(listed: Listed, now: number): Cell[] {
  const plainEnd = listed.reason === undefined || listed.reason === "exited";
  const status = listed.status === "started" ? "running" : plainEnd ? listed.status : (listed.reason ?? listed.status);
  return [
    listed.command_id,
    { text: status, tone: toneByStatus[listed.status] },
    listed.exit_code === undefined ? "" : String(listed.exit_code),
    ago(now - listed.started_at),
    duration((listed.ended_at ?? now) - listed.started_at),
    [listed.command, ...listed.args].map(quoted).join(" "),
  ];
}

/** As a shell would need it, so that the ends of the arguments can be seen. */
function quoted(argument: string): string {
  return /^[\w@%+=:,./-]+$/.test(argument) ? argument : `'${argument.replaceAll("'", `'\\''`)}'`;
}
