import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer as createTlsServer, type Server as TlsServer } from "node:https";
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
import { HlError, type ErrorType } from "@hl/protocol/errors.ts";
import { expiredText } from "@hl/protocol/expiry.ts";
import type { Caller } from "@hl/protocol/method.ts";
import { BodyTooLarge, readBody } from "./body.ts";
import { CallerExpiry } from "./caller-expiry.ts";
import type { CertificateCallers } from "./certificate-callers.ts";
import { permissionOf } from "./http-paths.ts";
import type { ListenerTls } from "./listener-tls.ts";
import { isLoopbackAddress, judgeOrigin } from "./origin.ts";
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
  /** Without it the port speaks plain HTTP. */
  readonly tls?: ListenerTls | undefined;
  /** Who client certificates are; undefined where they prove nothing. */
  readonly certificates?: CertificateCallers | undefined;
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
  readonly #server: Server | TlsServer;
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
    const limits = {
      requestTimeout: 30_000,
      headersTimeout: 10_000,
      connectionsCheckingInterval: 5_000, // Of the two limits before; the default of 30 s would double them.
      keepAliveTimeout: 60_000,
    };
    this.#server =
      options.tls === undefined ? createServer(limits) : createTlsServer({ ...limits, ...options.tls.options });
    this.limitConnections();
    this.#server.on("request", (request, response) => {
      this.#serve(request, response).catch(() => response.destroy());
    });
    this.#server.on("upgrade", (request, socket, head) => {
      this.#upgrade(request, socket, head).catch(() => socket.destroy());
    });
  }

  get done(): Promise<void> {
    return this.#ended.promise;
  }

  get isTls(): boolean {
    return this.#options.tls !== undefined;
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
    const { health, metrics, openRpc, session } = this.#options;
    const refusal = this.#originRefusal(request);
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
    const needed = permissionOf(route);
    let caller: Caller | undefined;
    try {
      caller = await this.#callerOf(request, "http");
      session.require(caller, needed ?? "any", route);
    } catch (error) {
      session.noteRefusal(needed === undefined ? "HTTP" : route, caller, error);
      this.#refuseCaller(response, error);
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

  async #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    const { clock, limits, session, inFlightMax } = this.#options;
    socket.on("error", () => {});
    const caller = await this.#admitUpgrade(request);
    if (typeof caller === "string") {
      socket.end(`HTTP/1.1 ${caller}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`);
      return;
    }
    if (socket.destroyed) return; // While the token was checked.
    this.#webSockets.handleUpgrade(request, socket, head, (webSocket) => {
      const transport = new WebSocketTransport({
        socket: webSocket,
        clock,
        limits,
        pingIntervalMs: 20_000,
        deadAfterMs: 45_000,
      });
      const expiry = new CallerExpiry(clock, () => peer.close(expiredText));
      const { handler } = session.open("websocket", caller, (found) => expiry.watch(found));
      const peer = new Peer({ transport, clock, handler, inFlightMax, refusals: session.refusals });
      this.#peers.add(peer);
      void peer.closed.then(() => {
        expiry[Symbol.dispose]();
        this.#peers.delete(peer);
      });
      peer.open();
      expiry.watch(caller);
    });
  }

  /** Who upgrades, or the status line that refuses it. */
  async #admitUpgrade(request: IncomingMessage): Promise<Caller | string> {
    if (this.#originRefusal(request) !== undefined) return "403 Forbidden";
    try {
      const caller = await this.#callerOf(request, "websocket");
      return pathOf(request) === "/rpc" ? caller : "404 Not Found";
    } catch (error) {
      this.#options.session.noteRefusal("GET /rpc", undefined, error);
      return "401 Unauthorized";
    }
  }

  #originRefusal({ headers }: IncomingMessage): string | undefined {
    const { host, allowedOrigins, tls } = this.#options;
    return judgeOrigin(headers, this.#server.address() as AddressInfo | null, host, allowedOrigins, tls?.names);
  }

  /** A token comes before a certificate: it was sent with this very request. Rejects with the refusal. */
  async #callerOf({ headers, socket }: IncomingMessage, via: Caller["via"]): Promise<Caller> {
    const { tls, certificates, session } = this.#options;
    // What was sent in the clear over a network is not to be used a second time.
    if (tls === undefined && !isLoopbackAddress(socket.remoteAddress)) throw new HlError("unauthenticated", needsTls);
    const { authorization } = headers;
    const shown = authorization === undefined ? certificates?.callerOf(socket, via) : undefined;
    if (shown !== undefined) return shown;
    const token = /^Bearer ([\x21-\x7e]{1,16384})$/.exec(authorization ?? "")?.[1];
    if (token === undefined) throw new HlError("unauthenticated", "send Authorization: Bearer TOKEN");
    return session.identify(token, via);
  }

  /** Whatever is no refusal is a bug of ours, and no way in. */
  #refuseCaller(response: ServerResponse, error: unknown): void {
    const { type, message, facts } =
      error instanceof HlError ? error : new HlError("internal_error", "the caller could not be judged");
    if (type === "unauthenticated") response.setHeader("www-authenticate", "Bearer");
    const status = type === "unauthenticated" ? 401 : type === "permission_denied" ? 403 : 500;
    sendJson(response, status, this.#options.session.refusal(type, message, facts));
  }

  #refuse(response: ServerResponse, status: number, type: ErrorType, message: string): void {
    sendJson(response, status, this.#options.session.refusal(type, message));
  }
}

const needsTls =
  "from other machines tokens are taken over TLS only: set local_api.tls_certificate and local_api.tls_key in daemon.json";

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
