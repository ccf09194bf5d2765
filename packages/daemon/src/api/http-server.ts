import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { Server as TlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import type { Clock } from "@hl/core/clock.ts";
import { answer, encodeAnswer } from "@hl/core/rpc/answer.ts";
import { parseInput } from "@hl/core/rpc/message.ts";
import type { Service } from "@hl/core/service.ts";
import { HlError } from "@hl/protocol/errors.ts";
import type { Caller } from "@hl/protocol/method.ts";
import { BodyTooLarge, readBody } from "./body.ts";
import type { CertificateCallers } from "./certificate-callers.ts";
import {
  asRefusal,
  HealthAnswer,
  pathOf,
  rateRefusalIn,
  refuseUpgrade,
  retryAfterSeconds,
  sendBody,
  sendJson,
  sendRefusal,
} from "./http-answers.ts";
import { HttpConnections, type HttpConnection } from "./http-connections.ts";
import { httpListener, type HttpListenerOptions } from "./http-listener.ts";
import { permissionOf } from "./http-paths.ts";
import { isLoopbackAddress, judgeOrigin } from "./origin.ts";
import { servingFirst, tooManyInFlight } from "./serving-first.ts";
import type { SessionFactory, SessionOrigin } from "./session.ts";
import { WebSockets } from "./web-sockets.ts";

export interface HttpServerOptions extends HttpListenerOptions {
  readonly host: string;
  /** 0 takes any free port. */
  readonly port: number;
  readonly clock: Clock;
  readonly allowedOrigins: readonly string[];
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
  readonly #webSockets: WebSockets;
  readonly #connections: HttpConnections;
  readonly #health: HealthAnswer;
  readonly #ended = Promise.withResolvers<undefined>();
  #address: AddressInfo | null = null;

  constructor(options: HttpServerOptions) {
    this.#options = options;
    const { writeDeadlineMs } = options.limits;
    this.#connections = new HttpConnections({ ...options, writeDeadlineMs });
    this.#webSockets = new WebSockets(options);
    this.#health = new HealthAnswer(options.health, options.clock);
    this.#server = httpListener(options, (socket) => this.#connections.accept(socket));
    this.#server.on("request", (request, response) => {
      this.#serve(request, response)
        .then(() => this.#connections.watchReader(request.socket, response))
        .catch(() => response.destroy());
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

  /** Takes over what is new in the numbers of connections. */
  numbersChanged(): void {
    this.#server.keepAliveTimeout = this.#options.numbers.idleTimeoutMs;
  }

  async start(): Promise<void> {
    const { host, port } = this.#options;
    await new Promise<void>((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.listen(port, host, () => {
        this.#server.off("error", reject);
        this.#address = this.#server.address() as AddressInfo; // Kept: asking for it is a system call.
        resolve();
      });
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#webSockets.close("the daemon is stopping");
    const closed = new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
    });
    this.#server.closeIdleConnections();
    const cancel = this.#options.clock.after(1_000, () => this.#server.closeAllConnections());
    await closed;
    cancel();
    this.#ended.resolve(undefined);
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const connection = this.#connections.of(request.socket);
    if (connection === undefined || connection.isOver) return; // Nobody hears the answer.
    const route = `${request.method ?? ""} ${pathOf(request)}`;
    const origin: SessionOrigin = { via: "http", from: connection.from };
    const needed = permissionOf(route);
    let caller: Caller | undefined;
    try {
      this.#judgeOrigin(request);
      if (route === "GET /health" || route === "HEAD /health") {
        connection.healthAsked();
        this.#health.send(response);
        return;
      }
      caller = await this.#callerOf(request, "http", connection);
      this.#admit(caller, route, connection);
      this.#options.session.require(caller, needed ?? "any", route);
    } catch (error) {
      const refusal = asRefusal(error);
      // A path that is none of ours is what anybody may write: it is not to fill the log.
      this.#options.session.refused(origin, caller, needed === undefined ? "HTTP" : route, refusal);
      if (connection.refused()) response.setHeader("connection", "close");
      this.#refuse(request, response, refusal);
      return;
    }
    connection.begin(caller);
    response.once("close", () => connection.end());
    await this.#answer(request, response, { origin, caller, route, connection });
  }

  /** Refuses with `rate_limited`. */
  #admit(caller: Caller, route: string, connection: HttpConnection): void {
    const { session, numbers } = this.#options;
    if (connection.inFlight >= numbers.inFlightMax) throw tooManyInFlight(numbers.inFlightMax);
    // Each message of a body counts when it is known. Of a caller without credit none is read.
    if (route !== "POST /rpc" || session.limits.isOver(caller)) session.limits.request(caller);
  }

  async #answer(request: IncomingMessage, response: ServerResponse, asked: Asked): Promise<void> {
    const { metrics, openRpc } = this.#options;
    switch (asked.route) {
      case "GET /metrics": {
        const text = metrics();
        if (text === undefined) this.#refuse(request, response, new HlError("method_not_found", metricsOff));
        else response.writeHead(200, { "content-type": "text/plain; version=0.0.4" }).end(text);
        return;
      }
      case "GET /openrpc.json":
        sendJson(response, 200, openRpc());
        return;
      case "POST /rpc":
        return this.#rpc(request, response, asked);
      default:
        this.#refuse(request, response, new HlError("method_not_found", `there is no ${asked.route}`));
    }
  }

  async #rpc(request: IncomingMessage, response: ServerResponse, asked: Asked): Promise<void> {
    const { clock, limits, numbers, session } = this.#options;
    const { origin, caller, connection } = asked;
    let text: string;
    try {
      text = await readBody(request, limits.messageBytesMax);
    } catch (error) {
      // The rest of the body is not read: the connection cannot be used again.
      response.setHeader("connection", "close");
      const type = error instanceof BodyTooLarge ? "request_too_large" : "parse_error";
      this.#refuse(request, response, new HlError(type, (error as Error).message));
      return;
    }
    const input = parseInput(text);
    const others = input.messages.length - 1;
    const own = session.open(origin, caller);
    const handler = servingFirst(own.handler, numbers.inFlightMax - connection.inFlight + 1, numbers.inFlightMax);
    const gone = new AbortController();
    connection.begin(caller, others);
    response.once("close", () => {
      connection.end(others);
      if (!response.writableFinished) gone.abort(new Error("the caller has gone"));
    });
    own.noRequests(input.messages.filter(({ kind }) => kind !== "request").length);
    const output = await answer(input, handler, clock, (message) => ({
      id: message.id,
      signal: gone.signal,
      canNotify: false,
      notify: () => Promise.resolve(),
      notifyBytes: () => Promise.resolve(),
      stream: () => {}, // One request, one answer: there is no channel for more.
    }));
    if (output === undefined) {
      response.writeHead(204).end();
      return;
    }
    const refusal = rateRefusalIn(output);
    if (refusal !== undefined) response.setHeader("retry-after", retryAfterSeconds(refusal.retryAfterMs));
    sendBody(response, refusal === undefined ? 200 : 429, encodeAnswer(output, handler, clock));
  }

  async #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    socket.on("error", () => {});
    const connection = this.#connections.of(request.socket);
    if (connection === undefined) {
      socket.destroy();
      return;
    }
    const path = pathOf(request);
    let caller: Caller | undefined;
    try {
      this.#judgeOrigin(request);
      caller = await this.#callerOf(request, "websocket", connection);
      this.#admit(caller, path, connection);
      if (path !== "/rpc") throw new HlError("method_not_found", `no WebSocket is served at ${path}`);
    } catch (error) {
      const origin: SessionOrigin = { via: "websocket", from: connection.from };
      this.#options.session.refused(origin, caller, "GET /rpc", asRefusal(error));
      refuseUpgrade(socket, asRefusal(error));
      return;
    }
    if (socket.destroyed) return; // While the token was checked.
    this.#webSockets.serve(request, socket, head, caller, connection);
  }

  #judgeOrigin({ headers }: IncomingMessage): void {
    const { host, allowedOrigins, tls } = this.#options;
    const refusal = judgeOrigin(headers, this.#address, host, allowedOrigins, tls?.names);
    if (refusal !== undefined) throw new HlError("permission_denied", refusal);
  }

  /** Rejects with the refusal; one more than a stranger may have is `rate_limited`. */
  async #callerOf(request: IncomingMessage, via: Caller["via"], { from }: HttpConnection): Promise<Caller> {
    try {
      return await this.#proved(request, via);
    } catch (error) {
      if (error instanceof HlError && error.type === "unauthenticated") this.#options.session.limits.stranger(from);
      throw error;
    }
  }

  /** A token comes before a certificate: it was sent with this very request. Rejects with the refusal. */
  async #proved({ headers, socket }: IncomingMessage, via: Caller["via"]): Promise<Caller> {
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

  #refuse(request: IncomingMessage, response: ServerResponse, error: HlError): void {
    sendRefusal(request, response, error, this.#options.session.refusal(error.type, error.message, error.facts));
  }
}

const needsTls =
  "from other machines tokens are taken over TLS only: set local_api.tls_certificate and local_api.tls_key in daemon.json";

const metricsOff = "there are no metrics: health_monitoring.metrics_collection is false";

/** A request that a known caller may make. */
interface Asked {
  readonly origin: SessionOrigin;
  readonly caller: Caller;
  readonly route: string;
  readonly connection: HttpConnection;
}
