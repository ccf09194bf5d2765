import type { IncomingMessage, Server } from "node:http";
import type { Socket } from "node:net";
import type { Clock } from "@hl/core/clock.ts";
import { settledWithin } from "@hl/core/service.ts";

/** Nobody tells when a connection has become idle, so we look. */
const lookIntervalMs = 50;

/** Ends the connections of a server that stops: those without a request at once, the others when theirs is answered. */
export class Shutdown {
  readonly #server: Server;
  readonly #clock: Clock;
  /** Connected and silent: Node counts only connections that have had a request as idle, and browsers connect ahead of need. */
  readonly #silent = new Set<Socket>();

  constructor(server: Server, clock: Clock) {
    this.#server = server;
    this.#clock = clock;
  }

  /** Begins to watch; before the server listens. */
  watch(): this {
    const spoke = ({ socket }: IncomingMessage): void => void this.#silent.delete(socket);
    const event = "setSecureContext" in this.#server ? "secureConnection" : "connection";
    this.#server.on(event, (socket: Socket) => {
      this.#silent.add(socket);
      socket.once("close", () => this.#silent.delete(socket));
    });
    this.#server.on("request", spoke);
    this.#server.on("upgrade", spoke);
    return this;
  }

  /** Closes what is idle until `gone` settles, at most for `ms`; answers whether it did. */
  async drain(gone: Promise<unknown>, ms: number): Promise<boolean> {
    const deadline = this.#clock.now() + ms;
    for (;;) {
      for (const socket of this.#silent) socket.destroy();
      this.#server.closeIdleConnections();
      if (await settledWithin(this.#clock, lookIntervalMs, gone)) return true;
      if (this.#clock.now() >= deadline) return false;
    }
  }
}
