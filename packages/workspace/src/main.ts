import { systemClock } from "@hl/core/clock.ts";
import { errorText } from "@hl/core/logger.ts";
import { LineTransport } from "@hl/core/rpc/line-transport.ts";
import { Peer } from "@hl/core/rpc/peer.ts";
import { requestHandler } from "@hl/protocol/dispatch.ts";
import { workspaceLineBytesMax, workspaceMethods } from "@hl/protocol/workspace-methods.ts";
import { workspaceHandlers } from "./handlers.ts";

/**
 * hl-workspace: the file methods, in the sandbox of the workspace's user, so that the kernel judges every path behind us. Its only caller is
 * the hl-daemon at the other end of standard input and output; it ends when that closes its input. What it has to say beside answers goes to
 * standard error, which the daemon keeps the end of.
 */
const transport = new LineTransport({
  lineBytesMax: workspaceLineBytesMax,
  write: (bytes) =>
    new Promise((resolve, reject) => {
      process.stdout.write(bytes, (error) => (error instanceof Error ? reject(error) : resolve(undefined)));
    }),
  flow: (paused) => {
    if (paused) process.stdin.pause();
    else process.stdin.resume();
  },
  close: () => process.stdin.destroy(),
});

const handler = requestHandler({
  table: workspaceMethods,
  handlers: workspaceHandlers(systemClock, process.pid),
  roles: {},
  clock: systemClock,
  wireError: {
    stackTrace: false,
    onInternal: (error) => void process.stderr.write(`${error instanceof Error ? error.stack : errorText(error)}\n`),
  },
  // The daemon has judged its caller before it asks us (X3).
  caller: () => ({ role: "admin", subject: "hl-daemon", via: "internal" }),
});

const peer = new Peer({ transport, clock: systemClock, handler }).open();
process.stdin.on("data", (chunk: Buffer) => transport.receive(chunk));
process.stdin.on("end", () => transport.end("standard input was closed"));
process.stdout.on("error", (error: Error) => transport.end(error.message));
void peer.closed.then(() => process.stdin.destroy());
