import type { Clock } from "@hl/core/clock.ts";
import type { Readable } from "node:stream";
import type { Connection } from "../connect/connection.ts";
import { isPassing } from "../failure.ts";
import { InputBuffer } from "./input-buffer.ts";

export interface StdinForwarderDeps {
  readonly stdin: Readable;
  readonly commandId: string;
  /** The connection over which the command is followed; waits while there is none. */
  readonly following: () => Promise<Connection>;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** Sees the bytes before they are sent: a terminal's escape keys are taken out of them. */
  readonly filter?: ((chunk: Buffer) => Buffer) | undefined;
}

/** Between two attempts where the daemon can be reached and says that it cannot now. */
const againMs = 250;

/**
 * Gives our standard input to the command, a piece at a time: the next one goes when the command has taken the last. Ends at the
 * end of input, or when the command reads no more. Each piece says where it begins, so one whose answer was lost with the
 * connection is sent again, and the command gets every byte once (C1).
 */
export async function forwardStdin(deps: StdinForwarderDeps): Promise<void> {
  const { stdin, commandId, following, clock, signal, filter } = deps;
  const buffer = new InputBuffer(stdin, filter ?? ((chunk) => chunk));
  let offset = 0;
  const send = async (data: Buffer, eof: boolean): Promise<boolean> => {
    const piece = { command_id: commandId, data: data.toString("base64"), encoding: "base64" as const, eof, offset };
    for (;;) {
      const connection = await following();
      try {
        return (await connection.call("command/input", piece)).closed;
      } catch (error) {
        if (!isPassing(error) || signal.aborted) throw error;
        // A lost connection has to be made again first, which `following` waits for.
        if (!connection.peer.isClosed) await clock.sleep(againMs, signal);
      }
    }
  };
  for (;;) {
    const data = await buffer.next();
    if (data === undefined) break;
    if (await send(data, false)) return;
    offset += data.length;
  }
  await send(Buffer.alloc(0), true);
}
