import type { Command } from "commander";
import { verb, type Cli } from "../cli.ts";
import { persist } from "../connect/persist.ts";
import { exitCode } from "../exit-codes.ts";
import type { Session } from "../session.ts";
import { orLost, remotePieces } from "../transfer/pieces.ts";

export function addFileCat(parent: Command, cli: Cli): void {
  verb(parent, "cat", "print a file of the VM, byte for byte")
    .argument("<path>", "a file in the VM")
    .action((path: string, _options, command: Command) => cli.run(command, (session) => cat(session, path)));
}

/** At our own reader's pace, and over lost connections. */
async function cat(session: Session, path: string): Promise<number> {
  const { out, signal } = session;
  let at = 0;
  await persist(session.persistence, (connection, progress) =>
    orLost(
      (async () => {
        const { size } = await connection.call("file/read", { path, offset: 0, length: 0 });
        for await (const bytes of remotePieces(connection, { path, size }, at)) {
          progress();
          out.write(bytes);
          at += bytes.length;
          await out.drained(signal);
          signal.throwIfAborted();
        }
      })(),
    ),
  );
  return exitCode.ok;
}
