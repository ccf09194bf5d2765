import { Backoff } from "@hl/core/backoff.ts";
import type { ResultOf } from "@hl/protocol/method.ts";
import type { systemInfo } from "@hl/protocol/methods/system-info.ts";
import type { systemRestart } from "@hl/protocol/methods/system-restart.ts";
import type { Command } from "commander";
import { verb, type Cli } from "../cli.ts";
import { exitCode } from "../exit-codes.ts";
import { ClientFailure, isPassing } from "../failure.ts";
import { duration, plural } from "../render/quantity.ts";
import type { Session } from "../session.ts";

type Info = ResultOf<typeof systemInfo>;
type Restarting = ResultOf<typeof systemRestart>;

/** A daemon is back in a second; one with a large database to save, or a loaded machine, takes longer. */
const backMs = 60_000;

export function addRestart(parent: Command, cli: Cli): void {
  verb(
    parent,
    "restart",
    "restart the daemon in order and wait until it is back; commands and agents go on. Refused where nothing would start it again",
  )
    .option("--no-wait", "leave when it has answered")
    .action((options: { wait: boolean }, command: Command) =>
      cli.run(command, (session) => restart(session, options.wait)),
    );
}

async function restart(session: Session, waits: boolean): Promise<number> {
  const began = session.clock.now();
  const restarting = await ask(session);
  const { pid, commands_running: commands, agents_running: agents } = restarting;
  if (!session.json)
    session.out.line(`restarting (pid ${pid}): ${plural(commands, "command")} and ${plural(agents, "agent")} go on`);
  const info = waits ? await untilBack(session, restarting) : undefined;
  if (session.json) session.printJson({ ...restarting, ...(info === undefined ? {} : { info }) });
  else if (info !== undefined)
    session.out.line(`back after ${duration((session.clock.now() - began) / 1000)} (pid ${info.pid})`);
  return exitCode.ok;
}

async function ask(session: Session): Promise<Restarting> {
  using connection = await session.connect();
  return await connection.call("system/restart", {});
}

/** It is asked for again with back-off: until it is there, nobody could tell. */
async function untilBack(session: Session, before: Restarting): Promise<Info> {
  const { clock, signal, ports } = session;
  const backoff = new Backoff({ minMs: 100, maxMs: 2_000, random: ports.random });
  const began = clock.now();
  for (;;) {
    await clock.sleep(backoff.nextMs(), signal);
    try {
      using connection = await session.connect();
      const info = await connection.call("system/info", {});
      if (isAnother(info, before)) return info;
    } catch (error) {
      if (signal.aborted || !isPassing(error)) throw error;
    }
    if (clock.now() - began > backMs) {
      const help = "Look at what supervises it: `systemctl status hl-daemon`, `journalctl -u hl-daemon`.";
      throw new ClientFailure("unreachable", `the daemon is not back after ${backMs / 1000} s`, help);
    }
  }
}

/** Its number may be the same, as in a container; when it began is not told to the millisecond. */
function isAnother(info: Info, before: Restarting): boolean {
  return info.pid !== before.pid || info.started_at > before.started_at + 0.2;
}
