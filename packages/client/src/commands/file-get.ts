import { basename, resolve } from "node:path";
import type { Command } from "commander";
import { verb, type Cli } from "../cli.ts";
import { exitCode } from "../exit-codes.ts";
import type { Session } from "../session.ts";
import { download } from "../transfer/download.ts";
import { Progress } from "../transfer/progress.ts";

export function addFileGet(parent: Command, cli: Cli): void {
  verb(parent, "get", "fetch a file of the VM; goes on where an earlier attempt was, and is checked at the end")
    .argument("<path>", "a file in the VM")
    .argument("[file]", "where it is to lie on this machine; default its name, here")
    .action((path: string, local: string | undefined, _options, command: Command) =>
      cli.run(command, (session) => get(session, path, local)),
    );
}

async function get(session: Session, path: string, local: string | undefined): Promise<number> {
  const target = resolve(session.ports.cwd, local ?? basename(path));
  using bars = new DisposableStack();
  let bar: Progress | undefined;
  const progress = (size: number): Progress => (bar ??= bars.use(new Progress(session, path, size)));
  const downloaded = await download({ session, path, target, progress });
  if (session.json) session.printJson(downloaded);
  return exitCode.ok;
}
