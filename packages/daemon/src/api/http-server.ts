import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import { WebSocketServer } from "ws";
import type { Clock } from "@hl/core/clock.ts";
import { answer, encodeAnswer } from "@hl/core/rpc/answer.ts";
import { parseInput } from "@hl/core/rpc/message.ts";
import { Peer } from "@hl/core/rpc/peer.ts";
import type { TransportLimits } from "@hl/core/rpc/transport.ts";
import { WebSocketTransport } from "@hl/core/rpc/websocket.ts";
import type { Service } from "@hl/core/service.ts";
import type { ErrorType } from "@hl/protocol/errors.ts";
import type { Caller } from "@hl/protocol/method.ts";
import { BodyTooLarge, readBody } from "./body.ts";
import { judgeOrigin } from "./origin.ts";
import type { SessionFactory } from "./session.ts";

export interface HttpServerOptions {
  readonly host: string;
  /** 0 takes any free port. */
  readonly port: number;
  readonly clock: Clock;
  readonly limits: TransportLimits;
  readonly connectionsMax: number;
  readonly inFlightMax: number;
  readonly allowedOrigins: readonly string[];
  readonly session: SessionFactory;
  /** For `GET /health`, without authentication: no detail that helps an attacker. */
  readonly health: () => { readonly status: string } & Record<string, unknown>;
  /** Undefined while none are collected. */
  readonly metrics: () => string | undefined;
  readonly openRpc: () => object;
}

/** Local HTTP: health for anybody on this machine, everything else with a token; Host and Origin are judged first. */
export class HttpServer implements Service {
  readonly name = "api/http";
  readonly #options: HttpServerOptions;
  readonly #server: Server;
  readonly #webSockets: WebSocketServer;
  readonly #peers = new Set<Peer>();
  readonly #ended = Promise.withResolvers<undefined>();

  constructor(options: HttpServerOptions) {
    this.#options = options;
    this.#webSockets = new WebSocketServer({
      noServer: true,
      maxPayload: options.limits.messageBytesMax,
      perMessageDeflate: false,
    });
    this.#server = createServer({
      requestTimeout: 30_000,
      headersTimeout: 10_000,
      connectionsCheckingInterval: 5_000, // Of the two limits before; the default of 30 s would double them.
      keepAliveTimeout: 60_000,
    });
    this.limitConnections();
    this.#server.on("request", (request, response) => {
      this.#serve(request, response).catch(() => response.destroy());
    });
    this.#server.on("upgrade", (request, socket, head) => this.#upgrade(request, socket, head));
  }

  get done(): Promise<void> {
    return this.#ended.promise;
  }

  /** `127.0.0.1:8080`; valid after start. */
  get address(): string {
    const { address, port, family } = this.#server.address() as AddressInfo;
    return family === "IPv6" ? `[${address}]:${port}` : `${address}:${port}`;
  }

  /** Connections that are open stay, also those over a new limit. */
  limitConnections(): void {
    this.#server.maxConnections = this.#options.connectionsMax;
  }

  async start(): Promise<void> {
    const { host, port } = this.#options;
    await new Promise<void>((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.listen(port, host, () => {
        this.#server.off("error", reject);
        resolve();
      });
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const peer of this.#peers) peer.close("the daemon is stopping");
    const closed = new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
    });
    this.#server.closeIdleConnections();
    const cancel = this.#options.clock.after(1_000, () => this.#server.closeAllConnections());
    await closed;
    cancel();
    this.#webSockets.close();
    this.#ended.resolve(undefined);
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { allowedOrigins, health, metrics, openRpc } = this.#options;
    const refusal = judgeOrigin(
      request.headers,
      this.#server.address() as AddressInfo | null,
      this.#options.host,
      allowedOrigins,
    );
    if (refusal !== undefined) {
      this.#refuse(response, 403, "permission_denied", refusal);
      return;
    }
    const path = pathOf(request);
    const route = `${request.method ?? ""} ${path}`;
    if (route === "GET /health" || route === "HEAD /health") {
      const verdict = health();
      sendJson(response, verdict.status === "unhealthy" ? 503 : 200, verdict);
      return;
    }
    const caller = this.#callerOf(request, "http");
    if (caller === undefined) {
      response.setHeader("www-authenticate", "Bearer");
      this.#refuse(response, 401, "unauthenticated", "send Authorization: Bearer TOKEN");
      return;
    }
    switch (route) {
      case "GET /metrics": {
        const text = metrics();
        if (text === undefined) this.#refuse(response, 404, "method_not_found", metricsOff);
        else response.writeHead(200, { "content-type": "text/plain; version=0.0.4" }).end(text);
        return;
      }
      case "GET /openrpc.json":
        sendJson(response, 200, openRpc());
        return;
      case "POST /rpc":
        return this.#rpc(request, response, caller);
      default:
        this.#refuse(response, 404, "method_not_found", `there is no ${route}`);
    }
  }

  async #rpc(request: IncomingMessage, response: ServerResponse, caller: Caller): Promise<void> {
    const { clock, limits, session } = this.#options;
    let text: string;
    try {
      text = await readBody(request, limits.messageBytesMax);
    } catch (error) {
      // The rest of the body is not read: the connection cannot be used again.
      response.setHeader("connection", "close");
      if (error instanceof BodyTooLarge) this.#refuse(response, 413, "request_too_large", error.message);
      else this.#refuse(response, 400, "parse_error", (error as Error).message);
      return;
    }
    const gone = new AbortController();
    response.once("close", () => {
      if (!response.writableFinished) gone.abort(new Error("the caller has gone"));
    });
    const { handler } = session.open("http", caller);
    const output = await answer(parseInput(text), handler, clock, (message) => ({
      id: message.id,
      signal: gone.signal,
      canNotify: false,
      notify: () => Promise.resolve(),
      notifyBytes: () => Promise.resolve(),
      stream: () => {}, // One request, one answer: there is no channel for more.
    }));
    if (output === undefined) response.writeHead(204).end();
    else sendBody(response, 200, encodeAnswer(output, handler, clock));
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const { allowedOrigins, clock, limits, session, inFlightMax } = this.#options;
    socket.on("error", () => {});
    const refusal = judgeOrigin(
      request.headers,
      this.#server.address() as AddressInfo | null,
      this.#options.host,
      allowedOrigins,
    );
    const caller = refusal === undefined ? this.#callerOf(request, "websocket") : undefined;
    const path = pathOf(request);
    const status =
      refusal !== undefined ? "403 Forbidden" : caller === undefined ? "401 Unauthorized" : "404 Not Found";
    if (caller === undefined || path !== "/rpc") {
      socket.end(`HTTP/1.1 ${status}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`);
      return;
    }
    this.#webSockets.handleUpgrade(request, socket, head, (webSocket) => {
      const transport = new WebSocketTransport({
        socket: webSocket,
        clock,
        limits,
        pingIntervalMs: 20_000,
        deadAfterMs: 45_000,
      });
      const { handler } = session.open("websocket", caller);
      const peer = new Peer({ transport, clock, handler, inFlightMax, refusals: session.refusals });
      this.#peers.add(peer);
      void peer.closed.then(() => this.#peers.delete(peer));
      peer.open();
    });
  }

  #callerOf(request: IncomingMessage, via: Caller["via"]): Caller | undefined {
    const token = /^Bearer ([\x21-\x7e]{1,16384})$/.exec(request.headers.authorization ?? "")?.[1];
    return token === undefined ? undefined : this.#options.session.authenticate(token, via);
  }

  #refuse(response: ServerResponse, status: number, type: ErrorType, message: string): void {
    sendJson(response, status, this.#options.session.refusal(type, message));
  }
}

const metricsOff = "there are no metrics: health_monitoring.metrics_collection is false";

/** The target is whatever a caller wrote; one that is no address, as `//`, has no path that we serve. */
function pathOf(request: IncomingMessage): string {
  return URL.parse(request.url ?? "/", "http://localhost")?.pathname ?? "";
}

function sendJson(response: ServerResponse, status: number, value: object): void {
  sendBody(response, status, JSON.stringify(value));
}

function sendBody(response: ServerResponse, status: number, json: string): void {
  response
    .writeHead(status, {
      "content-type": "application/json",
      "content-length": Buffer.byteLength(json),
      "cache-control": "no-store",
    })
    .end(json); // A text goes out in one write with the head.
}
