import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { WebSocketServer } from "ws";
import type { Clock } from "@hl/core/clock.ts";
import { Peer } from "@hl/core/rpc/peer.ts";
import type { TransportLimits } from "@hl/core/rpc/transport.ts";
import { WebSocketTransport } from "@hl/core/rpc/websocket.ts";
import { expiredText } from "@hl/protocol/expiry.ts";
import type { Caller } from "@hl/protocol/method.ts";
import { CallerExpiry } from "./caller-expiry.ts";
import { ConnectionGuard } from "./connection-guard.ts";
import type { ConnectionNumbers } from "./connection-numbers.ts";
import type { HttpConnection } from "./http-connections.ts";
import type { SessionFactory, SessionWatcher } from "./session.ts";

export interface WebSocketsOptions {
  readonly clock: Clock;
  readonly limits: TransportLimits;
  readonly numbers: Readonly<ConnectionNumbers>;
  readonly session: SessionFactory;
}

/** The HTTP connections that have become WebSockets; who their caller is has been judged before. */
export class WebSockets {
  readonly #options: WebSocketsOptions;
  readonly #server: WebSocketServer;
  readonly #peers = new Set<Peer>();

  constructor(options: WebSocketsOptions) {
    this.#options = options;
    this.#server = new WebSocketServer({
      noServer: true,
      maxPayload: options.limits.messageBytesMax,
      perMessageDeflate: false,
    });
  }

  /** Says goodbye to everybody. */
  close(reason: string): void {
    for (const peer of this.#peers) peer.close(reason);
    this.#server.close();
  }

  serve(request: IncomingMessage, socket: Duplex, head: Buffer, caller: Caller, connection: HttpConnection): void {
    const { clock, limits, numbers, session } = this.#options;
    this.#server.handleUpgrade(request, socket, head, (webSocket) => {
      connection.upgraded();
      const transport = new WebSocketTransport({
        socket: webSocket,
        clock,
        limits,
        pingIntervalMs: 20_000,
        deadAfterMs: 45_000,
      });
      const watcher: SessionWatcher = {
        loggedIn: (found) => expiry.watch(found),
        admitted: () => guard.admitted(),
        refused: (count) => guard.refused(count),
      };
      const expiry = new CallerExpiry(clock, () => peer.close(expiredText));
      const own = session.open({ via: "websocket", from: connection.from, watcher }, caller);
      const peer = new Peer({
        transport,
        clock,
        handler: own.handler,
        inFlightMax: numbers.inFlightMax,
        refusals: session.refusals,
        onOther: (count) => own.noRequests(count),
      });
      const end = (): void => peer.close("nothing was asked for too long");
      const guard = new ConnectionGuard({ peer, slot: connection.slot, clock, numbers, end });
      this.#peers.add(peer);
      void peer.closed.then(() => {
        expiry[Symbol.dispose]();
        this.#peers.delete(peer);
      });
      guard.begin();
      guard.loggedIn(caller);
      peer.open();
      expiry.watch(caller);
    });
  }
}
