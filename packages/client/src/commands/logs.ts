import type { Command } from "commander";
import { Option } from "commander";
import { z } from "zod";
import { verb, type Cli } from "../cli.ts";
import { exitCode } from "../exit-codes.ts";
import { Follower } from "../follow/follower.ts";
import { gapText, jsonView, terminalView } from "../render/output-view.ts";
import type { Session } from "../session.ts";

const logsOptions = z.object({ follow: z.boolean().default(false), stream: z.enum(["stdout", "stderr"]).optional() });

type LogsOptions = z.output<typeof logsOptions>;

export function addLogs(parent: Command, cli: Cli): void {
  verb(parent, "logs", "the recorded output of a command, byte for byte")
    .argument("<id>", "command id, see ps")
    .option("-f, --follow", "go on until the command ends")
    .addOption(new Option("--stream <name>", "only this stream").choices(["stdout", "stderr"]))
    .action((id: string, _options, command: Command) =>
      cli.run(command, (session) => logs(session, id, logsOptions.parse(command.opts()))),
    );
}

async function logs(session: Session, id: string, options: LogsOptions): Promise<number> {
  if (!options.follow) return printRecorded(session, id, options);
  const view = session.json ? jsonView(session, options.stream) : terminalView(session, options.stream);
  const result = await new Follower({ ...session.persistence, commandId: id, view }).run();
  if (session.json) session.printJson(result);
  return exitCode.ok;
}

/** Page by page, waiting for our own reader: a log of gigabytes takes no memory here. */
async function printRecorded(session: Session, id: string, { stream }: LogsOptions): Promise<number> {
  const { out, err, signal } = session;
  using connection = await session.connect();
  for (let offset = 0; ;) {
    const page = await connection.call("command/logs", { command_id: id, stream, offset });
    if (session.json) session.printJson(page);
    else {
      if (page.skipped_bytes > 0) session.notice(gapText(page.skipped_bytes));
      for (const chunk of page.chunks) {
        const bytes = Buffer.from(chunk.data, chunk.encoding === "base64" ? "base64" : "utf8");
        (chunk.stream === "stdout" ? out : err).write(bytes);
      }
    }
    await Promise.all([out.drained(signal), err.drained(signal)]);
    signal.throwIfAborted();
    if (page.eof || page.next_offset <= offset) return exitCode.ok;
    offset = page.next_offset;
  }
}
