import { InvalidArgumentError, type Command } from "commander";
import * as z from "zod";
import { verb, type Cli } from "../cli.ts";
import { exitCode } from "../exit-codes.ts";
import type { Session } from "../session.ts";
import { printSnapshot } from "../top/snapshot.ts";
import { Top } from "../top/top.ts";

const topOptions = z.object({ interval: z.number(), once: z.boolean().default(false) });

const intervalSeconds = { min: 0.5, max: 3_600, default: 2 } as const;

export function addTop(parent: Command, cli: Cli): void {
  verb(parent, "top", "a live view of one daemon: health, resources, spool, agents, commands; ? in it shows the keys")
    .option(
      "--interval <seconds>",
      "look so often at what changes by itself, 0.5 to 3600; changes are shown as they come",
      interval,
      intervalSeconds.default,
    )
    .option("--once", "print it once and leave, as it is done without a terminal and with --json")
    .action((_options, command: Command) =>
      cli.run(command, (session) => top(session, topOptions.parse(command.opts()))),
    );
}

async function top(session: Session, { interval: seconds, once }: z.output<typeof topOptions>): Promise<number> {
  const { json, out, ports } = session;
  const isPlain = once || json || !out.isTerminal || ports.env.TERM === "dumb";
  const keyboard = isPlain ? undefined : ports.stdin();
  if (keyboard?.isTTY === true) await new Top(session, seconds * 1000).run(keyboard);
  else await printSnapshot(session);
  return exitCode.ok;
}

function interval(text: string): number {
  const value = Number(text);
  if (text.trim() !== "" && value >= intervalSeconds.min && value <= intervalSeconds.max) return value;
  throw new InvalidArgumentError(
    `It must be a number of seconds from ${intervalSeconds.min} to ${intervalSeconds.max}.`,
  );
}
