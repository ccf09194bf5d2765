import type { Command } from "commander";
import * as z from "zod";
import { turnOutcomeOf } from "../chat/turn-outcome.ts";
import { verb, type Cli } from "../cli.ts";
import { persist } from "../connect/persist.ts";
import { exitCode } from "../exit-codes.ts";
import { ClientFailure } from "../failure.ts";
import { readAll } from "../read-all.ts";
import type { Session } from "../session.ts";

const relayOptions = z.object({ relayId: z.string().optional(), steer: z.boolean().optional() });

export function addClaudeRelay(parent: Command, cli: Cli): void {
  verb(parent, "relay", "send a message as the agent's protocol has it and print its answer as JSON")
    .argument("<process-id>", "see claude list")
    .argument("<message>", "a JSON object, or text, or - to read either from standard input")
    .option("--relay-id <uuid>", "with the id of an earlier relay: its answer, and nothing is run twice")
    .option("--steer", "while a turn runs: into that turn where the agent can, in place of waiting for its end")
    .action((processId: string, message: string, _options, command: Command) =>
      cli.run(command, async (session) => {
        const text = message === "-" ? await readAll(session.ports.stdin(), session.signal) : message;
        return await relay(session, processId, text, relayOptions.parse(command.opts()));
      }),
    );
}

async function relay(
  session: Session,
  process_id: string,
  text: string,
  { relayId, steer }: z.infer<typeof relayOptions>,
): Promise<number> {
  const message = messageOf(text);
  const params = { process_id, message, relay_id: relayId ?? session.ports.uuid(), ...(steer ? { steer } : {}) };
  const answer = await persist(session.persistence, (connection) => connection.call("claude/relay", params));
  session.printJson(answer);
  return turnOutcomeOf(answer.response).isError ? exitCode.failed : exitCode.ok;
}

/** What begins like an object has to be one: text that does can be sent with `claude send`. */
function messageOf(text: string): unknown {
  if (!text.trimStart().startsWith("{")) return text;
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    const why = `the message begins like a JSON object and is none: ${(error as Error).message}`;
    throw new ClientFailure("usage", why, "`hl-client claude send` sends it as text.");
  }
}
