import type { InputOf } from "@hl/protocol/method.ts";
import type { DaemonMethods } from "@hl/protocol/methods.ts";
import type { Command } from "commander";
import * as z from "zod";
import { verb, type Cli } from "../cli.ts";
import { exitCode } from "../exit-codes.ts";
import type { Session } from "../session.ts";

const flag = z.boolean().default(false);

/** The verbs that change names in the VM: they say nothing when all is well, as their namesakes do. */
export function addFileMv(parent: Command, cli: Cli): void {
  verb(parent, "mv", "rename or move a file or folder of the VM")
    .argument("<from>", "a path in the VM")
    .argument("<to>", "its new path, not a folder to move into")
    .option("-f, --force", "replace a file that lies there")
    .action((from: string, to: string, _options, command: Command) => {
      const { force } = z.object({ force: flag }).parse(command.opts());
      return cli.run(command, (session) => change(session, "file/move", { from, to, overwrite: force }));
    });
}

export function addFileRm(parent: Command, cli: Cli): void {
  verb(parent, "rm", "remove a file, link or empty folder of the VM")
    .argument("<path>", "a path in the VM")
    .option("-r, --recursive", "a folder with all that it holds")
    .action((path: string, _options, command: Command) => {
      const { recursive } = z.object({ recursive: flag }).parse(command.opts());
      return cli.run(command, (session) => change(session, "file/remove", { path, recursive }));
    });
}

export function addFileMkdir(parent: Command, cli: Cli): void {
  verb(parent, "mkdir", "make a folder in the VM")
    .argument("<path>", "a path in the VM")
    .option("-p, --parents", "those above it too, and be content with one that is there")
    .action((path: string, _options, command: Command) => {
      const { parents } = z.object({ parents: flag }).parse(command.opts());
      return cli.run(command, (session) => change(session, "file/mkdir", { path, parents }));
    });
}

async function change<Name extends "file/move" | "file/remove" | "file/mkdir">(
  session: Session,
  method: Name,
  params: InputOf<DaemonMethods[Name]>,
): Promise<number> {
  using connection = await session.connect();
  const result = await connection.call(method, params);
  if (session.json) session.printJson(result);
  return exitCode.ok;
}
