import type { Command } from "commander";
import * as z from "zod";
import { verb, type Cli } from "../cli.ts";
import { exitCode } from "../exit-codes.ts";
import { modeText } from "../render/file-mode.ts";
import { bytes } from "../render/quantity.ts";
import { renderFacts } from "../render/table.ts";
import type { Session } from "../session.ts";

const statOptions = z.object({ checksum: z.boolean().default(false) });

export function addFileStat(parent: Command, cli: Cli): void {
  verb(parent, "stat", "what lies at a path in the VM")
    .argument("<path>", "a path in the VM")
    .option("--checksum", "with the SHA-256 of a file")
    .action((path: string, _options, command: Command) =>
      cli.run(command, (session) => stat(session, path, statOptions.parse(command.opts()))),
    );
}

async function stat(session: Session, path: string, options: z.output<typeof statOptions>): Promise<number> {
  using connection = await session.connect();
  const result = await connection.call("file/stat", { path, ...options });
  if (session.json) {
    session.printJson(result);
    return exitCode.ok;
  }
  const facts: [name: string, value: string][] = [
    ["path", result.path],
    ["type", result.type],
    ["size", `${bytes(result.size)} (${result.size})`],
    ["mode", modeText(result)],
    ["changed", new Date(result.mtime * 1000).toISOString()],
  ];
  if (result.target !== undefined) facts.push(["leads to", result.target]);
  if (result.sha256 !== undefined) facts.push(["sha256", result.sha256]);
  for (const line of renderFacts(facts, session.paint)) session.out.line(line);
  return exitCode.ok;
}
