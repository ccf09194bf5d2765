import type { ListedFile } from "@hl/protocol/methods/file-list.ts";
import type { Command } from "commander";
import * as z from "zod";
import { parsers, verb, type Cli } from "../cli.ts";
import { exitCode } from "../exit-codes.ts";
import { escapeLine } from "../render/escape.ts";
import { modeText } from "../render/file-mode.ts";
import { bytes } from "../render/quantity.ts";
import type { Cell } from "../render/table.ts";
import type { Session } from "../session.ts";

const lsOptions = z.object({
  recursive: z.boolean().default(false),
  long: z.boolean().default(false),
  all: z.boolean().default(false),
  gitignore: z.boolean().default(false),
  limit: z.number().default(10_000),
});

const depthMax = 100;

export function addFileLs(parent: Command, cli: Cli): void {
  verb(parent, "ls", "list a folder of the VM")
    .argument("[path]", "a folder in the VM; default the workspace", ".")
    .option("-R, --recursive", "with the folders below, the nearer ones first")
    .option("-l, --long", "with mode, size and time")
    .option("-a, --all", "names that begin with a dot too")
    .option("--gitignore", "leave out what git would")
    .option("--limit <count>", "list at most so many (10000)", parsers.wholeNumber)
    .action((path: string, _options, command: Command) =>
      cli.run(command, (session) => ls(session, path, lsOptions.parse(command.opts()))),
    );
}

async function ls(session: Session, path: string, options: z.output<typeof lsOptions>): Promise<number> {
  using connection = await session.connect();
  const { recursive, all, gitignore, limit } = options;
  const depth = recursive ? depthMax : 1;
  const result = await connection.call("file/list", { path, depth, limit, include_hidden: all, gitignore });
  if (session.json) {
    session.printJson(result);
    return exitCode.ok;
  }
  if (options.long) session.printTable(columns, result.entries.map(rowOf));
  else for (const entry of result.entries) session.out.line(escapeLine(nameOf(entry)));
  for (const folder of result.unreadable) session.notice(`${folder} may not be read`);
  if (result.truncated) session.notice(`there is more than these ${result.entries.length}: list a folder further in`);
  return exitCode.ok;
}

const columns = [
  { title: "MODE" },
  { title: "SIZE", align: "right" },
  { title: "CHANGED" },
  { title: "NAME" },
] as const;

function rowOf(entry: ListedFile): Cell[] {
  const size = entry.type === "file" ? bytes(entry.size) : "";
  const time = new Date(entry.mtime * 1000).toISOString().slice(0, 16).replace("T", " ");
  const target = entry.target === undefined ? "" : ` → ${entry.target}`;
  return [modeText(entry), size, time, `${nameOf(entry)}${target}`];
}

function nameOf({ path, type }: ListedFile): string {
  return type === "directory" ? `${path}/` : path;
}
