/** Makes runs that nobody holds any more, for the tests of what finds and ends them. */
import { once } from "node:events";
import { existsSync } from "node:fs";
import { join } from "node:path";

import { TYPE, type Fields } from "./frames.ts";
import { readLog } from "./read-log.ts";
import { eventually, newId, Runner, untilDead, type StartOptions } from "./runner.ts";

/** A run whose resident and shim were killed with -9, in this order, so that nobody was there to clean up. Each of its processes writes its pid. */
export async function orphans(
  script: string,
  count: number,
  more: readonly string[] = [],
  next: readonly string[] = more,
  options: Partial<StartOptions> = {},
): Promise<{ runner: Runner; id: string; pids: number[]; started: Fields }> {
  const dead = await Runner.start(more);
  const id = newId();
  const connection = dead.start({ ...options, id, argv: ["/bin/sh", "-c", script] });
  const started = await connection.frame(TYPE.started);
  const read = (): number[] =>
    readLog(join(dead.state, id), "growing").bytes(1).toString().split("\n").slice(0, -1).map(Number);
  await connection.frame(TYPE.output);
  await connection.until(() => read().length >= count, `${String(count)} pids`);
  await eventually(() => existsSync(join(dead.state, id, "identity")), "the identity file");
  dead.process.kill("SIGKILL");
  await once(dead.process, "exit");
  process.kill(Number(started["shim_pid"]), "SIGKILL");
  await connection.untilClosed();
  await untilDead(Number(started["shim_pid"]));
  return { runner: await Runner.start(next, dead.folder), id, pids: read(), started };
}
