import type { CommandResult } from "@hl/protocol/methods/command-result.ts";
import { constants } from "node:os";
import { exitCode } from "../exit-codes.ts";
import { tell } from "../failure.ts";
import { HlError, type ErrorType } from "@hl/protocol/errors.ts";

/** The exit code that mirrors a command's end. */
export function exitCodeOf(result: CommandResult): number {
  if (result.status === "timeout" || result.reason === "timeout" || result.reason === "idle_timeout")
    return exitCode.execTimeout;
  if (result.exit_code !== undefined) return result.exit_code;
  const number = result.signal === undefined ? undefined : signalNumbers[result.signal];
  if (number !== undefined) return exitCode.signalBase + number;
  return result.reason === "oom" ? exitCode.signalBase + constants.signals.SIGKILL : exitCode.execFailed;
}

const signalNumbers: Readonly<Record<string, number | undefined>> = constants.signals;

/** What the terminal should say about an end that the exit code alone does not explain; undefined for an ordinary one. */
export function endInWords(result: CommandResult): string | undefined {
  const after = `after ${Math.round(result.execution_time / 100) / 10} s`;
  switch (result.reason) {
    case "timeout":
      return `the command ran into its time limit and was stopped ${after}`;
    case "idle_timeout":
      return `the command wrote nothing for its idle time limit and was stopped ${after}`;
    case "oom":
      return "the command was ended because its memory limit was reached";
    case "shutdown":
      return "the daemon was stopped and ended the command";
    case "interrupted":
    case "daemon_lost":
    case "unknown":
      return `nobody saw the end of the command (${result.reason}); whether it finished its work is not known`;
    case "exited":
    case "signalled":
    case "cancelled":
    case undefined:
      return result.pipes_still_open ? "a background process of the command still holds its output open" : undefined;
  }
}

const refused: ReadonlySet<ErrorType> = new Set([
  "command_blocked",
  "command_not_allowed",
  "path_denied",
  "permission_denied",
  "user_not_permitted",
  "sandbox_unavailable",
  "cwd_invalid",
]);

/** `exec` keeps its own failures apart from every code that a command may answer. */
export function execFailureCode(error: unknown): number {
  if (error instanceof HlError && refused.has(error.type)) return exitCode.execRefused;
  if (error instanceof HlError && error.type === "command_not_found") return exitCode.execNotFound;
  const told = tell(error);
  const ownCode = told.errorType === "interrupted" || told.errorType === "usage";
  return ownCode ? told.exitCode : exitCode.execFailed;
}
