import { chmodSync, rmSync } from "node:fs";
import { createConnection, createServer, type Server, type Socket } from "node:net";
import type { Clock } from "@hl/core/clock.ts";
import { NdjsonTransport } from "@hl/core/rpc/ndjson.ts";
import { Peer } from "@hl/core/rpc/peer.ts";
import type { TransportLimits } from "@hl/core/rpc/transport.ts";
import type { Service } from "@hl/core/service.ts";
import { expiredText } from "@hl/protocol/expiry.ts";
import { CallerExpiry } from "./caller-expiry.ts";
import type { Session, SessionFactory } from "./session.ts";

export interface SocketServerOptions {
  readonly path: string;
  readonly clock: Clock;
  readonly limits: TransportLimits;
  readonly connectionsMax: number;
  readonly loginTimeoutMs: number;
  readonly inFlightMax: number;
  readonly session: SessionFactory;
}

/** The local unix socket: newline-delimited JSON-RPC. A caller logs in with its first request (DESIGN.md 3.2 says why). */
export class SocketServer implements Service {
  readonly name = "api/socket";
  readonly #options: SocketServerOptions;
  readonly #server: Server;
  readonly #connections = new Map<Socket, Peer>();
  readonly #ended = Promise.withResolvers<undefined>();

  constructor(options: SocketServerOptions) {
    this.#options = options;
    this.#server = createServer({ allowHalfOpen: true }, (socket) => this.#accept(socket));
  }

  get done(): Promise<void> {
    return this.#ended.promise;
  }

  async start(): Promise<void> {
    const { path } = this.#options;
    if (await isServed(path)) throw new Error(`another hl-daemon serves ${path}`);
    rmSync(path, { force: true }); // Left behind by a daemon that was killed.
    await new Promise<void>((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.listen(path, () => {
        this.#server.off("error", reject);
        resolve();
      });
    });
    chmodSync(path, 0o660);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const peer of this.#connections.values()) peer.close("the daemon is stopping");
    await new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
    });
    this.#ended.resolve(undefined);
  }

  #accept(socket: Socket): void {
    const { clock, limits, connectionsMax, loginTimeoutMs, inFlightMax, session } = this.#options;
    if (this.#connections.size >= connectionsMax) {
      socket.on("error", () => {});
      socket.end(`${JSON.stringify(session.refusal("rate_limited", `${connectionsMax} connections are open`))}\n`);
      return;
    }
    const expiry = new CallerExpiry(clock, () => peer.close(expiredText));
    const own: Session = session.open("socket", undefined, (caller) => expiry.watch(caller));
    const transport = new NdjsonTransport(socket, clock, limits);
    const peer = new Peer({ transport, clock, handler: own.handler, inFlightMax, refusals: session.refusals });
    this.#connections.set(socket, peer);
    const cancelLogin = clock.after(loginTimeoutMs, () => {
      if (own.caller() === undefined) peer.close("no login in time");
    });
    void peer.closed.then(() => {
      cancelLogin();
      expiry[Symbol.dispose]();
      this.#connections.delete(socket);
    });
    peer.open();
  }
}

function isServed(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createConnection(path);
    probe.once("connect", () => {
      probe.destroy();
      resolve(true);
    });
    probe.once("error", () => resolve(false));
  });
}
