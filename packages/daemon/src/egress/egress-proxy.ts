import { chmodSync, rmSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { Clock } from "@hl/core/clock.ts";
import { errorText } from "@hl/core/logger.ts";
import type { Service } from "@hl/core/service.ts";
import { parseAuthority, parsePlainTarget, type Destination } from "../network/destination.ts";
import { misnamedHeader } from "@hl/core/raw-headers.ts";
import { passRequest } from "./plain-request.ts";
import { answerRequest, answerSocket, type ProxyAnswer } from "./refusal.ts";
import { RouteFailed, RouteRefused, openRoute, type Route, type RouteOptions } from "../network/route.ts";
import { joinSockets } from "./tunnel.ts";

export interface EgressLimits {
  /** Connections of all commands together; one more is answered 503. */
  readonly connectionsMax: number;
  /** Request line and headers of one request; more is answered 431. */
  readonly headerBytesMax: number;
  /** From the first byte of a request, or from the connection, to the end of its headers; longer is answered 408. */
  readonly headerWaitMs: number;
  /** From the judged request to a connection: name and all its addresses together. */
  readonly connectMs: number;
  /** Nothing moves in either direction for so long. */
  readonly idleMs: number;
}

/** As generous as tools need them: a large clone is silent while the server packs. */
export const defaultEgressLimits: EgressLimits = {
  connectionsMax: 512,
  headerBytesMax: 32_768,
  headerWaitMs: 15_000,
  connectMs: 20_000,
  idleMs: 600_000,
};

/** What became of one request; the path and the headers are in nobody's record, since they may hold secrets (X4). */
export interface EgressDecision {
  readonly method: string;
  readonly host: string;
  readonly port: number;
  readonly decision: "allow" | "deny" | "fail";
  /** The entry of the configuration that decided. */
  readonly rule: string | undefined;
  readonly address?: string | undefined;
  readonly reason?: string | undefined;
  readonly durationMs: number;
}

export interface EgressProxyOptions extends Omit<RouteOptions, "connectMs" | "halfOpen"> {
  readonly socketPath: string;
  readonly clock: Clock;
  readonly limits: EgressLimits;
  readonly onDecision: (decision: EgressDecision) => void;
}

/**
 * The one way out of a command's network namespace: an HTTP proxy on a unix socket, to which hl-runner's shim relays what is sent to
 * 127.0.0.1:3128 inside. CONNECT makes a tunnel, an absolute `http://` request is passed on; each is judged by itself, so a redirect
 * is a new request.
 */
export class EgressProxy implements Service {
  readonly name = "egress/proxy";
  readonly #options: EgressProxyOptions;
  readonly #server: Server;
  readonly #connections = new Set<Duplex>();
  /** Connections with a request that is not answered yet. */
  readonly #busy = new WeakSet<Duplex>();
  readonly #stop = new AbortController();
  readonly #ended = Promise.withResolvers<undefined>();

  constructor(options: EgressProxyOptions) {
    this.#options = options;
    const { headerBytesMax, headerWaitMs, idleMs } = options.limits;
    this.#server = createServer({
      maxHeaderSize: headerBytesMax,
      headersTimeout: headerWaitMs,
      keepAliveTimeout: headerWaitMs,
      requestTimeout: 0, // An upload may take its time; `idleMs` sees whether it moves.
      connectionsCheckingInterval: Math.ceil(headerWaitMs / 3), // Also while there are none, so not more often.
      noDelay: true,
    });
    this.#server.on("connection", (socket) => this.#accept(socket));
    const onRequest = (incoming: IncomingMessage, response: ServerResponse): void =>
      own(this.#request(incoming, response, idleMs), incoming.socket);
    this.#server.on("request", onRequest);
    this.#server.on("checkContinue", onRequest);
    this.#server.on("connect", (incoming, socket, head) => own(this.#connect(incoming, socket, head, idleMs), socket));
    this.#server.on("clientError", (error: NodeJS.ErrnoException, socket) => this.#misread(error, socket));
  }

  get done(): Promise<void> {
    return this.#ended.promise;
  }

  get socketPath(): string {
    return this.#options.socketPath;
  }

  async start(): Promise<void> {
    const { socketPath } = this.#options;
    rmSync(socketPath, { force: true }); // Of a daemon that was killed; the home's lock says that there is no other.
    await new Promise<void>((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.listen(socketPath, () => {
        this.#server.off("error", reject);
        resolve();
      });
    });
    chmodSync(socketPath, 0o660);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new Error("the proxy is stopping"));
    const closed = new Promise<void>((resolve) => void this.#server.close(() => resolve()));
    for (const socket of this.#connections) socket.destroy();
    await closed;
    this.#ended.resolve(undefined);
  }

  #accept(socket: Socket): void {
    const { connectionsMax } = this.#options.limits;
    socket.on("error", () => {}); // Who it belongs to has its own way to notice.
    if (this.#connections.size >= connectionsMax) {
      const text = `${connectionsMax} connections go through the daemon's proxy already, which is its limit: try again later`;
      answerSocket(socket, { status: 503, text, error: "connection_limit_reached" }, this.#options.clock);
      return;
    }
    this.#connections.add(socket);
    socket.once("close", () => this.#connections.delete(socket));
  }

  /** False for a connection that is over the limit, and for a second request before the first is answered: no client needs that, and it would pass the limit by. */
  #takes(client: Duplex): boolean {
    if (!this.#connections.has(client)) return false;
    if (this.#busy.has(client)) client.destroy();
    else this.#busy.add(client);
    return !client.destroyed;
  }

  async #request(incoming: IncomingMessage, response: ServerResponse, idleMs: number): Promise<void> {
    if (!this.#takes(incoming.socket)) return;
    response.once("close", () => this.#busy.delete(incoming.socket));
    const target = parsePlainTarget(incoming.url ?? "");
    const misnamed = misnamedHeader(incoming.rawHeaders);
    if (target === undefined || misnamed !== undefined) {
      const text =
        misnamed === undefined
          ? "this is the proxy of hl-daemon: ask for http://HOST/… in full, or for a tunnel with CONNECT HOST:PORT"
          : `the header Connection names ${misnamed}, which belongs to the request and not to the connection`;
      answerRequest(response, { status: 400, text, error: "http_request_error" });
      return;
    }
    const gone = new AbortController();
    const onClose = (): void => gone.abort(new Error("the client has gone"));
    response.once("close", onClose);
    const route = await this.#route(incoming.method ?? "GET", target, gone.signal);
    response.off("close", onClose);
    if (gone.signal.aborted || response.destroyed) {
      if ("socket" in route) route.socket.destroy();
    } else if ("socket" in route) {
      try {
        passRequest(incoming, response, target, route.socket, idleMs);
      } catch (error) {
        route.socket.destroy();
        throw error;
      }
    } else answerRequest(response, route);
  }

  async #connect(incoming: IncomingMessage, client: Duplex, head: Buffer, idleMs: number): Promise<void> {
    if (!this.#takes(client)) return;
    const destination = parseAuthority(incoming.url ?? "");
    if (destination === undefined) {
      answerSocket(
        client,
        { status: 400, text: "CONNECT needs HOST:PORT", error: "http_request_error" },
        this.#options.clock,
      );
      return;
    }
    const gone = new AbortController();
    const onClose = (): void => gone.abort(new Error("the client has gone"));
    client.once("close", onClose);
    const route = await this.#route("CONNECT", destination, gone.signal);
    client.off("close", onClose);
    if (client.destroyed) {
      if ("socket" in route) route.socket.destroy();
    } else if ("socket" in route) {
      client.write("HTTP/1.1 200 Connection established\r\n\r\n");
      if (head.length > 0) route.socket.write(head);
      joinSockets(client, route.socket, idleMs);
    } else answerSocket(client, route, this.#options.clock);
  }

  /** A way there, or what to answer instead; told in either case. Never rejects. */
  async #route(method: string, destination: Destination, signal: AbortSignal): Promise<Route | ProxyAnswer> {
    const { clock, limits, onDecision } = this.#options;
    const { host, port } = destination;
    const startedAt = clock.now();
    const tell = (said: Pick<EgressDecision, "decision" | "rule" | "address" | "reason">): void =>
      onDecision({ method, host, port, ...said, durationMs: clock.now() - startedAt });
    try {
      const stopped = AbortSignal.any([signal, this.#stop.signal]);
      const route = await openRoute(
        { ...this.#options, connectMs: limits.connectMs, halfOpen: true },
        destination,
        stopped,
      );
      tell({ decision: "allow", rule: route.rule, address: route.address });
      return route;
    } catch (error) {
      const reason = errorText(error);
      if (error instanceof RouteRefused) {
        tell({ decision: "deny", rule: error.rule, reason });
        return { status: 403, text: `refused by hl-daemon: ${reason}`, error: "http_request_denied" };
      }
      tell({ decision: "fail", rule: undefined, reason });
      const status = error instanceof RouteFailed ? error.status : 502;
      return { status, text: `hl-daemon: ${reason}`, error: "destination_unavailable" };
    }
  }

  #misread(error: NodeJS.ErrnoException, socket: Duplex): void {
    if (!socket.writable || error.code === "ECONNRESET") {
      socket.destroy();
      return;
    }
    const { headerBytesMax, headerWaitMs } = this.#options.limits;
    const answers: Record<string, ProxyAnswer | undefined> = {
      HPE_HEADER_OVERFLOW: {
        status: 431,
        text: `the headers are over ${headerBytesMax} bytes`,
        error: "http_request_error",
      },
      ERR_HTTP_REQUEST_TIMEOUT: {
        status: 408,
        text: `the headers did not come within ${headerWaitMs} ms`,
        error: "http_request_error",
      },
    };
    const malformed: ProxyAnswer = { status: 400, text: "this is not HTTP/1.1", error: "http_request_error" };
    answerSocket(socket, answers[error.code ?? ""] ?? malformed, this.#options.clock);
  }
}

/** What nobody has foreseen costs the client its connection, and nobody else anything. */
function own(work: Promise<void>, client: Duplex): void {
  work.catch(() => client.destroy());
}
