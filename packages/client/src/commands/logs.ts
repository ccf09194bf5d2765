import type { Command } from "commander";
import { Option } from "commander";
import * as z from "zod";
import { logNames } from "@hl/protocol/methods/system-logs.ts";
import { parsers, verb, type Cli } from "../cli.ts";
import { exitCode } from "../exit-codes.ts";
import { ClientFailure } from "../failure.ts";
import { Follower } from "../follow/follower.ts";
import { gapText, jsonView, terminalView } from "../render/output-view.ts";
import type { Session } from "../session.ts";
import { daemonLog } from "./daemon-log.ts";

const logsOptions = z.object({
  follow: z.boolean().default(false),
  stream: z.enum(["stdout", "stderr"]).optional(),
  file: z.enum(logNames).optional(),
  lines: z.number().optional(),
});

type LogsOptions = z.output<typeof logsOptions>;

export function addLogs(parent: Command, cli: Cli): void {
  verb(parent, "logs", "the recorded output of a command, byte for byte; without an id the daemon's own log")
    .argument("[id]", "command id, see ps")
    .option("-f, --follow", "go on until the command ends, or Ctrl-C for the daemon's own")
    .addOption(new Option("--stream <name>", "of a command: only this stream").choices(["stdout", "stderr"]))
    .addOption(new Option("--file <name>", "of the daemon: which log").choices(logNames))
    .option("-n, --lines <number>", "of the daemon: the newest so many; 100 by default", parsers.wholeNumber)
    .action((id: string | undefined, _options, command: Command) =>
      cli.run(command, async (session) => {
        const options = logsOptions.parse(command.opts());
        if (id === undefined) {
          if (options.stream !== undefined) throw new ClientFailure("usage", "--stream is of a command: name its id");
          const { file = "daemon", lines = 100, follow } = options;
          return daemonLog(session, { file, lines, follow });
        }
        if (options.file !== undefined || options.lines !== undefined)
          throw new ClientFailure("usage", "--file and --lines are of the daemon's own logs: leave the id out");
        return logs(session, id, options);
      }),
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
