import { connect, isIP, type Socket } from "node:net";
import type { Clock } from "@hl/core/clock.ts";
import { abortable } from "./abortable.ts";

/** An address that does not answer holds the next one up for so long. RFC 8305 recommends it. */
export const staggerMs = 250;

export interface ConnectOptions {
  readonly clock: Clock;
  /** Our end stays open when the other side ends its own: for tunnels. */
  readonly halfOpen: boolean;
}

/**
 * A connection to the first of the addresses that answers. This is the one place of the daemon that opens connections to anywhere but its
 * own unix sockets. Rejects with the first failure once all have failed, or with the signal's reason.
 * @param addresses never names: nothing is looked up here, so what was judged is what is connected to
 */
export async function connectFirst(
  addresses: readonly string[],
  port: number,
  { clock, halfOpen }: ConnectOptions,
  signal: AbortSignal,
): Promise<{ readonly socket: Socket; readonly address: string }> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const attempts = new Map<string, Socket>();
  let failure: Error | undefined;
  let started = 0;
  let cancelStagger = (): void => {};
  const startNext = (): void => {
    cancelStagger();
    const address = addresses[started];
    if (address === undefined) {
      if (attempts.size === 0) reject(failure ?? new Error("there is no address to connect to"));
      return;
    }
    started += 1;
    const socket = connect({ host: address, port, family: isIP(address), allowHalfOpen: halfOpen, noDelay: true });
    attempts.set(address, socket);
    // It stays: a connection that breaks before somebody has taken it over must not end the daemon.
    socket.on("error", (error) => {
      if (!attempts.delete(address)) return;
      failure ??= error;
      startNext();
    });
    socket.once("connect", () => resolve(address));
    if (started < addresses.length) cancelStagger = clock.after(staggerMs, startNext);
  };
  let winner: string | undefined;
  try {
    startNext();
    winner = await abortable(promise, signal);
    const socket = attempts.get(winner);
    if (socket === undefined) throw failure ?? new Error(`${winner} broke off at once`);
    return { socket, address: winner };
  } finally {
    cancelStagger();
    const others = [...attempts].filter(([address]) => address !== winner);
    attempts.clear(); // Their failures are nobody's business any more.
    for (const [, socket] of others) socket.destroy();
  }
}
