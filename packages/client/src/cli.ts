import { InvalidArgumentError, Option, type Command } from "commander";
import * as z from "zod";
import type { Session } from "./session.ts";

/** How a verb hands its work over: it names its options and what to do, the program connects, prints failures and exits. */
export interface Cli {
  run(command: Command, action: Action): Promise<void>;
}

/** Answers the exit code. */
export type Action = (session: Session) => Promise<number>;

/** Marks the options that say where to connect and how to print: they may stand before the verb or behind it. */
class ConnectionOption extends Option {}

const seconds = (text: string): number => {
  const value = Number(text);
  if (text.trim() !== "" && Number.isFinite(value) && value > 0) return value;
  throw new InvalidArgumentError("It must be a positive number of seconds.");
};

const wholeNumber = (text: string): number => {
  if (/^\d{1,15}$/.test(text)) return Number(text);
  throw new InvalidArgumentError("It must be a whole number, 0 or more.");
};

export const parsers = { seconds, wholeNumber } as const;

/** A value for each time the option is given. */
export const collect = (value: string, before: readonly string[] | undefined): string[] => [...(before ?? []), value];

export function connectionOptions(): Option[] {
  return [
    new ConnectionOption("--socket <path>", "the daemon's unix socket"),
    new ConnectionOption("--url <url>", "the daemon's local HTTP, for example http://127.0.0.1:8080"),
    new ConnectionOption("--cloud <url>", "reach the VM through this hl-cloud"),
    new ConnectionOption("--instance <id>", "the VM behind the cloud"),
    new ConnectionOption("--token-file <file>", "file with the bearer token"),
    new ConnectionOption("--cacert <file>", "authorities that an https server is checked with (PEM)"),
    new ConnectionOption("--cert <file>", "client certificate to show it (PEM); to --url then no token is needed"),
    new ConnectionOption("--key <file>", "the private key of --cert (PEM)"),
    new ConnectionOption("--json", "print protocol types as JSON and nothing else"),
    new ConnectionOption("--timeout <seconds>", "wait so long for a connection and for an answer").argParser(seconds),
  ];
}

/** A verb that talks to the daemon; the connection options work behind it too, without filling its help. */
export function verb(parent: Command, usage: string, description: string, own: { timeout?: boolean } = {}): Command {
  const command = parent.command(usage).description(description);
  for (const option of connectionOptions()) {
    if (own.timeout !== true || option.long !== "--timeout") command.addOption(option.hideHelp());
  }
  return command;
}

const sessionOptions = z.object({
  socket: z.string().optional(),
  url: z.string().optional(),
  cloud: z.string().optional(),
  instance: z.string().optional(),
  tokenFile: z.string().optional(),
  cacert: z.string().optional(),
  cert: z.string().optional(),
  key: z.string().optional(),
  json: z.boolean().optional(),
  timeout: z.number().optional(),
});

/** The nearest to the verb wins. */
export function sessionOptionsOf(command: Command): z.output<typeof sessionOptions> {
  const merged: Record<string, unknown> = {};
  for (let at: Command | null = command; at !== null; at = at.parent) {
    const values = at.opts();
    for (const option of at.options) {
      if (option instanceof ConnectionOption) merged[option.attributeName()] ??= values[option.attributeName()];
    }
  }
  return sessionOptions.parse(merged);
}
