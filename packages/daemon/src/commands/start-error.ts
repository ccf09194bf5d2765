import { constants } from "node:os";
import { errorText } from "@hl/core/logger.ts";
import { HlError } from "@hl/protocol/errors.ts";
import { StartFailed } from "../runner/records.ts";

/** Says in the words of the error table why a process was not started. */
export function startError(error: unknown, command: string): unknown {
  if (error instanceof HlError) return error;
  if (!(error instanceof StartFailed)) {
    return new HlError("runner_unavailable", `hl-runner cannot be reached: ${errorText(error)}`, {}, { cause: error });
  }
  const { stage, errno, message } = error;
  const facts = { stage, errno, reason: message };
  switch (stage) {
    case "sandbox":
      return new HlError("sandbox_unavailable", `the sandbox cannot be enforced: ${message}`, facts, { cause: error });
    case "cwd":
      return new HlError("cwd_invalid", `the working directory cannot be entered: ${message}`, facts, { cause: error });
    case "exec":
      if (errno === constants.errno.E2BIG) {
        const text = `the arguments and environment of ${JSON.stringify(command)} are larger than the kernel takes`;
        return new HlError("invalid_params", text, facts, { cause: error });
      }
      return new HlError(
        "command_not_found",
        `${JSON.stringify(command)} cannot be executed: ${why(errno) ?? message}`,
        facts,
        {
          cause: error,
        },
      );
    case "limits":
    case "fork":
      return new HlError("process_limit", `no process can be started: ${message}`, facts, { cause: error });
    default:
      // Its log, its folder: the disk of the runner's state, which may be another one than the database's.
      if (errno === constants.errno.ENOSPC) {
        const text = `there is no room, or no inode, for a command and its output: ${message}`;
        return new HlError("no_space", text, facts, { cause: error });
      }
      return new HlError("runner_unavailable", `hl-runner refused (${stage}): ${message}`, facts, { cause: error });
  }
}

/** The kernel's own words mislead here: the file itself was found before. */
function why(errno: number): string | undefined {
  if (errno === constants.errno.ENOENT)
    return "the interpreter that its first line names, or its loader, does not exist";
  if (errno === constants.errno.ENOEXEC)
    return "it is neither a program for this machine nor a script that begins with #!";
  return undefined;
}
