import { ConnectionClosed } from "@hl/core/rpc/peer.ts";
import type { Readable } from "node:stream";
import type { Connection } from "../connect/connection.ts";
import { ClientFailure } from "../failure.ts";

export interface StdinForwarderDeps {
  readonly stdin: Readable;
  readonly commandId: string;
  /** The connection over which the command is followed; waits while there is none. */
  readonly following: () => Promise<Connection>;
}

/** Bytes of input in one request. */
export const pieceBytesMax = 1024 * 1024;

/**
 * Gives our standard input to the command, a piece at a time: the next one is read when the command has taken the last, so
 * that a command which does not read costs no memory. Ends at the end of input, or when the command reads no more.
 * A connection lost under a piece is a failure: whether the command has it is not known, and input sent twice or cut short
 * would be worse than none.
 */
export async function forwardStdin(deps: StdinForwarderDeps): Promise<void> {
  const { stdin, commandId, following } = deps;
  const send = async (data: Buffer, eof: boolean): Promise<boolean> => {
    const connection = await following();
    try {
      const params = { command_id: commandId, data: data.toString("base64"), encoding: "base64" as const, eof };
      return (await connection.call("command/input", params)).closed;
    } catch (error) {
      if (!(error instanceof ConnectionClosed)) throw error;
      const message = "the connection was lost while the command was given its input; how much it has is not known";
      throw new ClientFailure("input_lost", message, "Run it again, with a file of its own for large input.", {
        cause: error,
      });
    }
  };
  for await (const chunk of stdin as AsyncIterable<Buffer>) {
    for (let start = 0; start < chunk.length; start += pieceBytesMax) {
      if (await send(chunk.subarray(start, start + pieceBytesMax), false)) return;
    }
  }
  await send(Buffer.alloc(0), true);
}
