import { basename, resolve } from "node:path";
import type { Command } from "commander";
import * as z from "zod";
import { verb, type Cli } from "../cli.ts";
import { exitCode } from "../exit-codes.ts";
import type { Session } from "../session.ts";
import { openLocal } from "../transfer/local-file.ts";
import { Progress } from "../transfer/progress.ts";
import { Upload } from "../transfer/upload.ts";

const putOptions = z.object({ parents: z.boolean().default(false) });

export function addFilePut(parent: Command, cli: Cli): void {
  verb(
    parent,
    "put",
    "send a file of this machine to the VM; goes on where an earlier attempt was, and is checked at the end",
  )
    .argument("<file>", "a file of this machine")
    .argument("[path]", "where it is to lie; default its name, in the workspace")
    .option("-p, --parents", "make the folders above it where they are missing")
    .action((local: string, path: string | undefined, _options, command: Command) =>
      cli.run(command, (session) => put(session, local, path, putOptions.parse(command.opts()))),
    );
}

async function put(
  session: Session,
  local: string,
  path: string | undefined,
  { parents }: z.output<typeof putOptions>,
): Promise<number> {
  await using file = await openLocal(resolve(session.ports.cwd, local), "r");
  const { size, mode } = await file.stat();
  using progress = new Progress(session, local, size);
  const target = path ?? basename(local);
  const upload = new Upload({ session, file, path: target, mode: mode & 0o777, createParents: parents, progress });
  const uploaded = await upload.run();
  if (session.json) session.printJson(uploaded);
  return exitCode.ok;
}
