import { Backoff } from "@hl/core/backoff.ts";
import type { Clock } from "@hl/core/clock.ts";
import { errorText } from "@hl/core/logger.ts";
import { ConnectionClosed } from "@hl/core/rpc/peer.ts";
import { isPassing } from "../failure.ts";
import type { Connection } from "./connection.ts";

export interface PersistDeps {
  readonly connect: () => Promise<Connection>;
  readonly clock: Clock;
  readonly random: () => number;
  readonly signal: AbortSignal;
  /** Told to the user, on standard error. */
  readonly notice: (text: string) => void;
  /** Without any progress for so long a lost connection is given up; `reconnectMs` where nobody says otherwise. */
  readonly patienceMs?: number | undefined;
}

/** How long a lost connection is made again where nobody says otherwise. */
export const reconnectMs = 120_000;

/**
 * Holds a conversation that may outlive its connection. The first connection must succeed; a lost one is made again with
 * back-off, and `converse` goes on from where it was. It calls `progress` for what arrives, which restarts the patience.
 */
export async function persist<T>(
  deps: PersistDeps,
  converse: (connection: Connection, progress: () => void) => Promise<T>,
): Promise<T> {
  const { connect, clock, random, signal, notice, patienceMs = reconnectMs } = deps;
  const backoff = new Backoff({ minMs: 250, maxMs: 10_000, random });
  let lostAt: number | undefined;
  const leaving = aborted(signal);
  leaving.catch(() => {}); // Also when nobody waits at that moment.
  const progress = (): void => {
    if (lostAt !== undefined) notice("connected again");
    lostAt = undefined;
    backoff.reset();
  };
  for (;;) {
    try {
      using connection = await connect();
      return await Promise.race([converse(connection, progress), leaving]);
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      // Only a connection that stood can be lost; after that whatever may pass is worth another attempt.
      if (lostAt === undefined ? !(error instanceof ConnectionClosed) : !isPassing(error)) throw error;
      if (lostAt === undefined) notice(`the connection was lost (${errorText(error)}), connecting again …`);
      lostAt ??= clock.now();
      if (clock.now() - lostAt > patienceMs) throw error;
      await clock.sleep(backoff.nextMs(), signal);
    }
  }
}

/** Rejects when the user wants to leave; whatever else is waited for is then left to itself. */
function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    if (signal.aborted) reject(signal.reason as Error);
    else signal.addEventListener("abort", () => reject(signal.reason as Error), { once: true });
  });
}

/** Rejects when the connection closes; for waiting that is not an answer's. */
export async function untilClosed(connection: Connection): Promise<never> {
  throw new ConnectionClosed(await connection.peer.closed);
}
