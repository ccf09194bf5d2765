import type { Duplex } from "node:stream";
import { Socket } from "node:net";

/**
 * Joins two connections: bytes go on as they come and wait where the reader is slow; an end of one direction is passed on and leaves
 * the other direction open; a connection that breaks takes the other along.
 */
export function joinSockets(client: Duplex, server: Socket, idleMs: number): void {
  const both = (): void => {
    client.destroy();
    server.destroy();
  };
  // What moves in either direction moves at the server's side too.
  server.setTimeout(idleMs, both);
  pass(client, server);
  pass(server, client);
}

function pass(from: Duplex, to: Duplex): void {
  from.pipe(to);
  let broken = false;
  from.on("error", () => (broken = true));
  from.once("close", () => {
    // One that has said all it had to say may have bytes on their way to the other side.
    if (!broken && from.readableEnded) return;
    if (to instanceof Socket && to.remoteAddress !== undefined)
      to.resetAndDestroy(); // Half of something must not look whole.
    else to.destroy();
  });
}
