import { systemClock } from "@hl/core/clock.ts";
import { NdjsonTransport } from "@hl/core/rpc/ndjson.ts";
import { Peer } from "@hl/core/rpc/peer.ts";
import { defaultTransportLimits, type Transport } from "@hl/core/rpc/transport.ts";
import { WebSocketTransport } from "@hl/core/rpc/websocket.ts";
import { requestHandler } from "@hl/protocol/dispatch.ts";
import { HlError } from "@hl/protocol/errors.ts";
import type { Caller, Handlers } from "@hl/protocol/method.ts";
import { daemonMethods, type DaemonMethods } from "@hl/protocol/methods.ts";
import { shippedRoles } from "@hl/protocol/permissions.ts";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer as createHttpServer, type Server as HttpServer } from "node:http";
import { createServer, type AddressInfo, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Duplex } from "node:stream";
import { WebSocketServer } from "ws";

export type FakeHandlers = { -readonly [Name in keyof DaemonMethods]?: Handlers<DaemonMethods>[Name] };

const localToken = "local-token-of-the-fake-daemon";
const operatorToken = "operator-token-of-the-fake-cloud";

/**
 * The other end for tests: a real unix socket and a real HTTP server with WebSockets, the real contract in front of scripted
 * handlers. A handler that a test does not give answers as an unknown method would.
 */
export class FakeDaemon implements AsyncDisposable {
  readonly home = mkdtempSync(join(tmpdir(), "hl-client-"));
  readonly socketPath = join(this.home, "data/state/daemon.sock");
  readonly operatorTokenFile = join(this.home, "operator-token");
  /** Every method that was asked, in order. */
  readonly asked: { method: string; params: unknown }[] = [];
  /** Paths that were upgraded. */
  readonly upgrades: string[] = [];
  readonly handlers: FakeHandlers;
  readonly #sockets = new Set<Duplex>();
  readonly #server: Server;
  readonly #http: HttpServer;
  readonly #webSockets = new WebSocketServer({ noServer: true });
  readonly #answered = new Map<string, number>();
  #waiters: (() => void)[] = [];

  private constructor(handlers: FakeHandlers) {
    this.handlers = handlers;
    this.#server = createServer((socket) =>
      this.#serve(socket, new NdjsonTransport(socket, systemClock, defaultTransportLimits)),
    );
    this.#http = createHttpServer((_request, response) => response.writeHead(404).end());
    this.#http.on("upgrade", (request, socket, head) => {
      const path = request.url ?? "";
      this.upgrades.push(path);
      const expected = path.startsWith("/v1/instances/") ? operatorToken : localToken;
      if (request.headers.authorization !== `Bearer ${expected}`) {
        const body = JSON.stringify({
          error: { code: 1001, message: "the token is not valid", data: { help: "Get another." } },
        });
        socket.end(`HTTP/1.1 401 No\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`);
        return;
      }
      this.#webSockets.handleUpgrade(request, socket, head, (webSocket) => {
        const options = {
          socket: webSocket,
          clock: systemClock,
          limits: defaultTransportLimits,
          pingIntervalMs: 0,
          deadAfterMs: 0,
        };
        this.#serve(socket, new WebSocketTransport(options), {
          role: "admin",
          subject: "test",
          via: "websocket",
        });
      });
    });
  }

  static async start(handlers: FakeHandlers = {}): Promise<FakeDaemon> {
    const daemon = new FakeDaemon(handlers);
    mkdirSync(join(daemon.home, "data/state"), { recursive: true });
    mkdirSync(join(daemon.home, "data/auth"));
    writeFileSync(join(daemon.home, "data/auth/local_token"), `${localToken}\n`);
    writeFileSync(daemon.operatorTokenFile, `${operatorToken}\n`);
    daemon.#server.listen(daemon.socketPath);
    daemon.#http.listen(0, "127.0.0.1");
    await Promise.all([once(daemon.#server, "listening"), once(daemon.#http, "listening")]);
    return daemon;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#http.address() as AddressInfo).port}`;
  }

  get local(): string[] {
    return ["--socket", this.socketPath];
  }

  get remote(): string[] {
    return ["--cloud", this.url, "--instance", "vm 1", "--token-file", this.operatorTokenFile];
  }

  countOf(method: string): number {
    return this.asked.filter((request) => request.method === method).length;
  }

  /** Resolves when a method has been asked so many times. */
  async untilAsked(method: string, count = 1): Promise<void> {
    while (this.countOf(method) < count) await new Promise<void>((resolve) => this.#waiters.push(resolve));
  }

  /** Resolves when a method has been answered so many times. */
  async untilAnswered(method: string, count = 1): Promise<void> {
    while ((this.#answered.get(method) ?? 0) < count) await new Promise<void>((resolve) => this.#waiters.push(resolve));
  }

  /** As a crash or a broken network would. */
  cutConnections(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.cutConnections();
    this.#server.close();
    this.#http.close();
    this.#webSockets.close();
    await Promise.all([once(this.#server, "close"), once(this.#http, "close")]);
    rmSync(this.home, { recursive: true, force: true });
  }

  #serve(socket: Duplex, transport: Transport, caller?: Caller): void {
    this.#sockets.add(socket);
    socket.once("close", () => this.#sockets.delete(socket));
    let known = caller;
    const login: FakeHandlers["auth/login"] = async ({ token }) => {
      if (token !== localToken) throw new HlError("unauthenticated", "the token is not valid");
      known = { role: "admin", subject: "local-token", via: "socket" };
      return { role: known.role, subject: known.subject };
    };
    const handler = requestHandler({
      table: daemonMethods,
      handlers: {
        ...this.#scripted(),
        "auth/login": this.handlers["auth/login"] ?? login,
      } as unknown as Handlers<DaemonMethods>,
      roles: shippedRoles,
      clock: systemClock,
      wireError: { stackTrace: false },
      caller: () => known,
    });
    new Peer({ transport, clock: systemClock, handler }).open();
  }

  /** Looked up at the time of the call, so that a test may change a handler on the way. */
  #scripted(): FakeHandlers {
    const names = Object.keys(daemonMethods).filter((name) => name !== "auth/login") as (keyof DaemonMethods)[];
    const entry = (name: keyof DaemonMethods): [string, unknown] => [
      name,
      async (params: unknown, call: unknown) => {
        this.asked.push({ method: name, params });
        for (const wake of this.#waiters.splice(0)) wake();
        const handler = this.handlers[name] as ((params: unknown, call: unknown) => Promise<unknown>) | undefined;
        if (handler === undefined) throw new HlError("method_not_found", `the fake daemon has no ${name}`);
        const answer = await handler(params, call);
        this.#answered.set(name, (this.#answered.get(name) ?? 0) + 1);
        for (const wake of this.#waiters.splice(0)) wake();
        return answer;
      },
    ];
    return Object.fromEntries(names.map(entry));
  }
}
