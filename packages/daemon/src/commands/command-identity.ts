import { createHash } from "node:crypto";
import type { CommandRecord } from "../store/command-records.ts";
import { Command } from "./command.ts";
import type { ExecuteParams } from "./plan.ts";

export function commandOf(record: CommandRecord): Command {
  return new Command({
    id: record.commandId,
    runId: record.runId,
    paramsHash: record.paramsHash,
    command: record.command,
    args: record.args,
    startedMs: record.startedMs,
  });
}

/** What makes two requests the same command (C1); how the caller wants its answer does not. */
export function paramsHashOf(params: ExecuteParams): string {
  const { command, args, cwd, env, timeout, idle_timeout, stdin, user, pty } = params;
  const sortedEnv = env === undefined ? null : Object.entries(env).sort(([a], [b]) => (a < b ? -1 : 1));
  // Only where there is one, so that records of before keep their hash; it implies `stdin`, said or not.
  const terminal = pty === undefined ? [] : [[pty.rows, pty.columns]];
  const identity = JSON.stringify([
    command,
    args,
    cwd,
    sortedEnv,
    timeout,
    idle_timeout,
    stdin || pty !== undefined,
    user,
    ...terminal,
  ]);
  return createHash("sha256").update(identity).digest("base64url");
}
