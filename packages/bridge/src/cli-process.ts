import { spawn, type ChildProcess } from "node:child_process";
import { accessSync, constants, realpathSync } from "node:fs";
import { delimiter, join } from "node:path";
import type { ExitInfo } from "@hl/daemon/claude/agent.ts";

/** The real Claude Code, whose standard error is ours. */
export interface CliProcess {
  readonly write: (line: string) => Promise<void>;
  readonly kill: (signal: NodeJS.Signals) => void;
  /** Resolves when it has ended and its output was read; rejects where it could not be started. */
  readonly ended: Promise<ExitInfo>;
}

/** The first of: what was asked for, `CLAUDE_CODE_EXECUTABLE`, `claude` in PATH. Never ourselves, under whatever name. */
export function findCli(asked: string | undefined, environment: NodeJS.ProcessEnv, own: string): string | undefined {
  const named = asked ?? environment["CLAUDE_CODE_EXECUTABLE"];
  if (named !== undefined && named !== "") return named;
  const candidates = (environment["PATH"] ?? "").split(delimiter).map((folder) => join(folder, "claude"));
  return candidates.find((path) => isExecutable(path) && realpathSync(path) !== own);
}

export function startCli(
  path: string,
  args: readonly string[],
  environment: NodeJS.ProcessEnv,
  onOutput: (chunk: Uint8Array) => void,
): CliProcess {
  const child = spawn(path, args, { env: environment, stdio: ["pipe", "pipe", "inherit"] });
  child.stdin.on("error", () => {}); // A write to one that has gone tells its own writer.
  child.stdout.on("data", onOutput);
  return {
    write: (line) =>
      new Promise((resolve, reject) => {
        child.stdin.write(line, (error) => (error instanceof Error ? reject(error) : resolve()));
      }),
    kill: (signal) => void child.kill(signal),
    ended: endOf(child),
  };
}

function endOf(child: ChildProcess): Promise<ExitInfo> {
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code, signal) => resolve({ code, signal }));
  });
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
