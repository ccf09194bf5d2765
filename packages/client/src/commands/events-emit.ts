import { severity } from "@hl/protocol/methods/event-stream.ts";
import { Option, type Command } from "commander";
import * as z from "zod";
import { verb, type Cli } from "../cli.ts";
import { exitCode } from "../exit-codes.ts";
import { ClientFailure } from "../failure.ts";
import { readAll } from "../read-all.ts";
import { escapeLine } from "../render/escape.ts";
import type { Session } from "../session.ts";

const emitOptions = z.object({ severity: severity.optional(), id: z.string().optional() });

export function addEventsEmit(parent: Command, cli: Cli): void {
  verb(parent, "emit", "hand over an event; `accepted` means that it is durable")
    .argument("<type>", "for example build.finished")
    .argument("[json]", "its data, or - to read it from standard input")
    .addOption(new Option("--severity <name>", "how bad it is").choices(severity.options))
    .option("--id <id>", "event id: the same one is stored once")
    .action((type: string, json: string | undefined, _options, command: Command) =>
      cli.run(command, (session) => emit(session, type, json, emitOptions.parse(command.opts()))),
    );
}

async function emit(
  session: Session,
  type: string,
  json: string | undefined,
  options: z.output<typeof emitOptions>,
): Promise<number> {
  const text = json === "-" ? await readAll(session.ports.stdin(), session.signal) : json;
  const event = {
    event_id: options.id ?? session.ports.uuid(),
    event_type: type,
    timestamp: session.nowSeconds,
    data: parseData(text),
    severity: options.severity,
  };
  using connection = await session.connect();
  const result = await connection.call("event/stream", event);
  const accepted = result.status === "accepted";
  if (session.json) session.printJson(result);
  else if (accepted) session.out.line(`accepted ${escapeLine(result.event_id)}`);
  else session.notice(`the event was rejected: ${result.reason ?? "no reason was given"}`);
  return accepted ? exitCode.ok : exitCode.failed;
}

function parseData(text: string | undefined): unknown {
  if (text === undefined) return {};
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new ClientFailure(
      "usage",
      `the data is not JSON: ${(error as Error).message}`,
      `Text needs quotes of its own: '"some text"'`,
    );
  }
}
