import { accessSync, constants, realpathSync, statSync } from "node:fs";
import { basename, dirname, isAbsolute, join } from "node:path";
import { errorText } from "@hl/core/logger.ts";
import { HlError } from "@hl/protocol/errors.ts";
import type { ParamsOf } from "@hl/protocol/method.ts";
import type { claudeStart } from "@hl/protocol/methods/claude-start.ts";
import { StartFailed } from "../runner/records.ts";
import type { AgentInfo } from "./agent.ts";
import { streamJsonArguments } from "./stream-json-arguments.ts";

export interface AgentBinary {
  readonly path: string;
  /** What the sandbox must let it read to run: where it lies, and its package when it lies in a `bin`. */
  readonly folders: readonly string[];
}

/** Finds the agent's program; the error says which of the usual mistakes was made. */
export function findAgentBinary(configured: string, searchPath: string): AgentBinary {
  const refuse = (why: string): never => {
    const text = `the agent ${JSON.stringify(configured)} ${why} (claude_integration.binary_path)`;
    throw new HlError("claude_unavailable", text, { binary_path: configured });
  };
  const candidates = configured.includes("/")
    ? [configured]
    : searchPath
        .split(":")
        .filter(isAbsolute)
        .map((folder) => join(folder, configured));
  const path = candidates.find((candidate) => statSync(candidate, { throwIfNoEntry: false }) !== undefined);
  if (path === undefined) return refuse("does not exist");
  const real = realpathSync(path);
  if (!statSync(real).isFile()) return refuse("is not a file");
  try {
    accessSync(real, constants.X_OK);
  } catch {
    return refuse("is not executable");
  }
  return { path: real, folders: [folderOf(real)] };
}

/**
 * What else the sandbox must let it read where the program is the bridge: the real Claude Code that the configuration names to it. What a caller
 * names is not looked at, because he could so have anything read. Nothing where it is not there: the bridge says so.
 */
export function bridgedFolders(configured: Readonly<Record<string, string>>): string[] {
  const path = configured["CLAUDE_CODE_EXECUTABLE"];
  if (path === undefined || !isAbsolute(path)) return [];
  if (statSync(path, { throwIfNoEntry: false })?.isFile() !== true) return [];
  return [folderOf(realpathSync(path))];
}

/** A package of npm needs what it depends on, which is beside it. */
function folderOf(real: string): string {
  const modules = real.indexOf("/node_modules/");
  if (modules !== -1 && /\.[cm]?js$/u.test(real)) return `${real.slice(0, modules)}/node_modules`;
  const folder = dirname(real);
  return basename(folder) === "bin" ? dirname(folder) : folder;
}

/** What the agent's program is started with, in the protocol's own words. Refuses what the protocol cannot carry. */
export function protocolArguments(
  protocol: AgentInfo["protocol"],
  params: Pick<ParamsOf<typeof claudeStart>, "resume" | "config_overrides">,
  sessionId: string,
): string[] {
  const { resume, config_overrides: overrides } = params;
  if (protocol === "stream-json") {
    const session = resume === undefined ? ["--session-id", sessionId] : ["--resume", resume];
    return [...streamJsonArguments, ...session, ...settingsOf(params)];
  }
  if (protocol === "acp") {
    // The session is in the protocol, its mode too; for the rest agents have no common way.
    for (const name of ["model", "max_turns"] as const) {
      if (overrides?.[name] === undefined) continue;
      const text = `config_overrides.${name}: agents that speak ACP take it as an argument or variable of their own, if at all`;
      throw new HlError("invalid_params", text, { protocol });
    }
    return [];
  }
  return ["--stdio", ...(resume === undefined ? [] : ["--resume", resume]), ...settingsOf(params)];
}

function settingsOf({ config_overrides: overrides }: Pick<ParamsOf<typeof claudeStart>, "config_overrides">): string[] {
  return [
    ...(overrides?.model === undefined ? [] : ["--model", overrides.model]),
    ...(overrides?.permission_mode === undefined ? [] : ["--permission-mode", overrides.permission_mode]),
    ...(overrides?.max_turns === undefined ? [] : ["--max-turns", String(overrides.max_turns)]),
  ];
}

/** Why an agent's process could not be started, as callers get it. */
export function startFailure(error: unknown, binaryPath: string): unknown {
  if (error instanceof HlError) return error;
  if (error instanceof StartFailed && error.stage === "sandbox") {
    return new HlError("sandbox_unavailable", `the sandbox cannot be enforced: ${error.message}`, {
      reason: error.message,
    });
  }
  if (error instanceof StartFailed) {
    const text = `the agent ${binaryPath} could not be started (${error.stage}): ${error.message}`;
    return new HlError("claude_unavailable", text, { stage: error.stage, errno: error.errno });
  }
  return new HlError("runner_unavailable", `hl-runner cannot be reached: ${errorText(error)}`, {}, { cause: error });
}
