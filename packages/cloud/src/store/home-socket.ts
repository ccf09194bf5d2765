import { chmodSync, rmSync } from "node:fs";
import { connect, createServer } from "node:net";
import { join } from "node:path";
import type { Clock } from "@hl/core/clock.ts";
import { errorText, type Logger } from "@hl/core/logger.ts";

/**
 * How a subcommand that has changed the store beside a running server lets it know: it connects to a socket in the home, and the
 * connection itself says "look again". The server has looked when it closes it. Nothing is said over it, so nothing has to be judged.
 */
const pathIn = (home: string): string => join(home, "serve.sock");

export interface HomeSocketOptions {
  readonly home: string;
  readonly logger: Logger;
  /** Looks at what may have been changed. */
  readonly onChanged: () => Promise<void>;
}

/** For who holds the lock of the home: what lies there is of an earlier run. Without the socket changes are seen at the next contact. */
export async function listenForChanges({ home, logger, onChanged }: HomeSocketOptions): Promise<AsyncDisposable> {
  const path = pathIn(home);
  let looking: Promise<void> | undefined;
  const server = createServer((socket) => {
    socket.on("error", () => {}); // Who asked has left.
    socket.resume();
    // Who comes while it looks may have changed something behind its eyes.
    looking = (looking ?? Promise.resolve())
      .then(onChanged)
      .catch((error: unknown) => logger.error({ error }, "what a subcommand has changed could not be looked at"))
      .finally(() => socket.end());
  });
  const { promise, resolve } = Promise.withResolvers<undefined>();
  server.on("error", (error) => {
    logger.warn({ path, error: errorText(error) }, "subcommands cannot tell that they have changed something");
    resolve(undefined);
  });
  rmSync(path, { force: true });
  server.listen(path, () => {
    chmodSync(path, 0o600);
    resolve(undefined);
  });
  await promise;
  return {
    async [Symbol.asyncDispose]() {
      if (!server.listening) return;
      const closed = Promise.withResolvers<undefined>();
      server.close(() => closed.resolve(undefined));
      await closed.promise;
    },
  };
}

const answerMs = 5_000;

/** Resolves with whether a running server has looked; without one there is nobody to tell. */
export async function tellServer(home: string, clock: Clock): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const socket = connect(pathIn(home));
  socket.on("error", () => resolve(false));
  socket.on("end", () => resolve(true));
  socket.resume();
  const cancel = clock.after(answerMs, () => resolve(false));
  const hasLooked = await promise;
  cancel();
  socket.destroy();
  return hasLooked;
}
