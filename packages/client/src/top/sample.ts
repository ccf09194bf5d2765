import { HlError } from "@hl/protocol/errors.ts";
import type { ResultOf } from "@hl/protocol/method.ts";
import type { ClaudeProcess } from "@hl/protocol/methods/claude-list.ts";
import type { commandList } from "@hl/protocol/methods/command-list.ts";
import type { systemHealth } from "@hl/protocol/methods/system-health.ts";
import type { systemInfo } from "@hl/protocol/methods/system-info.ts";
import type { Connection } from "../connect/connection.ts";
import { isPassing } from "../failure.ts";

export type Info = ResultOf<typeof systemInfo>;
export type Health = ResultOf<typeof systemHealth>;
export type Listed = ResultOf<typeof commandList>["commands"][number];

/** What can be asked for in the list; more than fits on a screen, so that the busiest are among them. */
const commandsMax = 200;
/** A line of a terminal takes no more, and a list of long command lines stays small. */
const argsBytesMax = 512;

/** A daemon at one moment. A part that the caller may not see, or that fails by itself, has its reason in `refused`. */
export interface Sample {
  readonly info: Info | undefined;
  readonly health: Health | undefined;
  readonly commands: readonly Listed[] | undefined;
  readonly agents: readonly ClaudeProcess[] | undefined;
  readonly refused: Readonly<Partial<Record<"info" | "health" | "commands" | "agents", string>>>;
}

/** Asks for all parts at once; rejects only where the daemon cannot be reached. */
export async function takeSample(connection: Connection): Promise<Sample> {
  const refused: { -readonly [Part in keyof Sample["refused"]]: string } = {};
  const part = async <T>(name: keyof Sample["refused"], asked: Promise<T>): Promise<T | undefined> => {
    try {
      return await asked;
    } catch (error) {
      if (!(error instanceof HlError) || (isPassing(error) && error.type !== "rate_limited")) throw error;
      refused[name] = error.message;
      return undefined;
    }
  };
  const list = { limit: commandsMax, running_first: true, usage: true, args_bytes_max: argsBytesMax };
  const [info, health, commands, agents] = await Promise.all([
    part("info", connection.call("system/info", {})),
    part("health", connection.call("system/health", {})),
    part("commands", connection.call("command/list", list)),
    part("agents", connection.call("claude/list", {})),
  ]);
  return { info, health, commands: commands?.commands, agents: agents?.processes, refused };
}

/** It can be cancelled. */
export function isLive({ status, lingering }: Listed): boolean {
  return status === "started" || lingering === true;
}
