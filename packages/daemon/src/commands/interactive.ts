import { bytesOf } from "@hl/protocol/data-bytes.ts";
import { HlError } from "@hl/protocol/errors.ts";
import type { Handlers } from "@hl/protocol/method.ts";
import type { DaemonMethods } from "@hl/protocol/methods.ts";
import type { Run } from "../runner/run.ts";
import type { Commands } from "./commands.ts";
import { signalNumber } from "./ending.ts";

type InteractiveMethods = "command/input" | "command/resize" | "command/signal";

/** What callers do to a command that runs: type, resize, signal. To one that has ended all of it is late, which is no mistake. */
export function interactiveHandlers(commands: Commands): Pick<Handlers<DaemonMethods>, InteractiveMethods> {
  /** Undefined when it has ended; a connection that was lost is waited for, because only the shim knows what it holds. */
  const runOf = async (commandId: string): Promise<Run | undefined> => {
    const command = await commands.get(commandId);
    await command.launched;
    await command.run?.settled;
    return command.run;
  };
  return {
    "command/input": async ({ command_id, data, encoding, eof, offset }) => {
      const bytes = bytesOf(data, encoding);
      const run = await runOf(command_id);
      if (run === undefined) return { accepted_bytes: 0, closed: true };
      if (run.stdin === "null") {
        const text = `command ${JSON.stringify(command_id)} has no standard input: it was started without \`stdin\` and \`pty\``;
        throw new HlError("invalid_params", text, { command_id });
      }
      const given = offset === undefined ? undefined : await run.inputOffset();
      if (offset !== undefined && given !== undefined && offset > given) {
        const text = `offset: ${offset} is beyond the ${given} bytes that command ${JSON.stringify(command_id)} has been given`;
        throw new HlError("invalid_params", text, { command_id, offset, input_bytes: given });
      }
      const accepted = await run.input(bytes, offset);
      const closed = accepted < bytes.length;
      // How much it took is known to its shim; the next daemon can be asked.
      if (closed && run.isDetached)
        throw new HlError("shutting_down", "the daemon stopped while the command took its input", { begun: true });
      if (eof) run.inputEof(offset === undefined ? undefined : offset + bytes.length);
      return { accepted_bytes: accepted, closed };
    },
    "command/resize": async ({ command_id, rows, columns }) => {
      const run = await runOf(command_id);
      if (run?.stdin === undefined) return { resized: false };
      if (run.stdin !== "terminal") {
        const text = `command ${JSON.stringify(command_id)} has no terminal: it was started without \`pty\``;
        throw new HlError("invalid_params", text, { command_id });
      }
      return { resized: run.end === undefined && run.resize({ rows, columns }) };
    },
    "command/signal": async ({ command_id, signal }) => {
      const command = await commands.get(command_id);
      await command.launched;
      const number = signalNumber(signal);
      if (command.ending !== undefined || command.run === undefined || number === undefined)
        return { delivered: false };
      return { delivered: command.run.signal(number) };
    },
  };
}
