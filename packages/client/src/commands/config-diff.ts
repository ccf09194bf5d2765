import type { Command } from "commander";
import * as z from "zod";
import { verb, type Cli } from "../cli.ts";
import { exitCode } from "../exit-codes.ts";
import { changeRow } from "../render/config.ts";
import type { Session } from "../session.ts";

const diffOptions = z.object({ files: z.boolean().optional() });

export function addConfigDiff(parent: Command, cli: Cli): void {
  verb(parent, "diff", "what is in force against the defaults, or what a reload of the files would change")
    .argument("[section]", "only of this section")
    .option("--files", "from what is in force to the files as they are now")
    .action((section: string | undefined, _options, command: Command) =>
      cli.run(command, (session) => diff(session, section, diffOptions.parse(command.opts()).files === true)),
    );
}

async function diff(session: Session, section: string | undefined, files: boolean): Promise<number> {
  using connection = await session.connect();
  const compare = files ? "files" : "defaults";
  const about = section === undefined ? {} : { config_section: section };
  const { differences = [] } = await connection.call("system/config/get", { ...about, compare });
  if (session.json) {
    session.printJson({ differences });
    return exitCode.ok;
  }
  const columns = [
    { title: "KEY" },
    { title: "RELOAD" },
    { title: files ? "IN FORCE → FILES" : "DEFAULT → IN FORCE" },
  ] as const;
  const rows = differences.map((change) => {
    const [key, ...values] = changeRow(change);
    return [key, change.reload, values.join(" ")];
  });
  if (rows.length === 0) session.notice("no difference");
  else session.printTable(columns, rows);
  return exitCode.ok;
}
