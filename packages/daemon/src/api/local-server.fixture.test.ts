/** For tests: both local servers over one set of limits, with one handler that waits as long as a test wants, and callers of every kind. */
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock, type Clock } from "@hl/core/clock.ts";
import { defaultTransportLimits, type TransportLimits } from "@hl/core/rpc/transport.ts";
import { within } from "@hl/testkit/waiting.ts";
import type { CallRecord } from "@hl/protocol/dispatch.ts";
import { shippedRoles } from "@hl/protocol/permissions.ts";
import { CallerLimits, type CallerRate } from "./caller-limits.ts";
import type { ConnectionNumbers } from "./connection-numbers.ts";
import { ConnectionSlots } from "./connection-slots.ts";
import { HttpServer } from "./http-server.ts";
import { localTokenAuthenticator, type Authenticate } from "./local-token.ts";
import { SessionFactory, type SessionFactoryOptions } from "./session.ts";
import { SocketServer } from "./socket-server.ts";

export const localToken = "hl_local_0123456789012345678901234567890";
/** Stands for a JWT: its caller has a rate. */
export const jwt = "jwt-of-anna";

export interface LocalOptions {
  readonly clock?: Clock | undefined;
  readonly rate?: Partial<CallerRate> | undefined;
  readonly connectionsMax?: number | undefined;
  readonly numbers?: Partial<ConnectionNumbers> | undefined;
  readonly limits?: Partial<TransportLimits> | undefined;
}

export class LocalServers implements AsyncDisposable {
  readonly reports: string[] = [];
  readonly records: CallRecord[] = [];
  readonly slots: ConnectionSlots;
  readonly numbers: ConnectionNumbers;
  readonly socket: SocketServer;
  readonly http: HttpServer;
  readonly path: string;
  /** What `command/execute` waits for. */
  readonly gate = Promise.withResolvers<object>();
  healthReads = 0;
  readonly #folder: string;
  readonly #opened: Socket[] = [];

  private constructor(options: LocalOptions) {
    this.#folder = mkdtempSync(join(tmpdir(), "hl-api-"));
    this.path = join(this.#folder, "s");
    const clock = options.clock ?? systemClock;
    const local = localTokenAuthenticator(localToken);
    const authenticate: Authenticate = (token, via) =>
      token === jwt ? { role: "vm-instance", subject: "anna", via, credential: "jwt" } : local(token, via);
    const handlers = {
      "system/ping": async () => ({ pong: true }),
      "command/execute": () => this.gate.promise,
    } as unknown as SessionFactoryOptions["handlers"];
    const rate: CallerRate = { requestsPerMinute: 60_000, burst: 10_000, strategy: "constant", ...options.rate };
    const session = new SessionFactory({
      handlers,
      authenticate,
      roles: shippedRoles,
      clock,
      wireError: { stackTrace: false },
      limits: new CallerLimits(rate, clock),
      observe: (record) => void this.records.push(record),
    });
    this.slots = new ConnectionSlots(options.connectionsMax ?? 40);
    this.numbers = { inFlightMax: 1_000, loginTimeoutMs: 10_000, idleTimeoutMs: 10_000, ...options.numbers };
    const shared = {
      clock,
      limits: { ...defaultTransportLimits, pauseReadsWhenFull: true, ...options.limits },
      slots: this.slots,
      numbers: this.numbers,
      session,
      report: (why: string) => void this.reports.push(why),
    };
    this.socket = new SocketServer({ ...shared, path: this.path });
    this.http = new HttpServer({
      ...shared,
      host: "127.0.0.1",
      port: 0,
      allowedOrigins: [],
      health: () => ({ status: "healthy", reads: (this.healthReads += 1) }),
      metrics: () => "hl 1\n",
      openRpc: () => ({}),
    });
  }

  static async start(options: LocalOptions = {}): Promise<LocalServers> {
    const servers = new LocalServers(options);
    await servers.socket.start();
    await servers.http.start();
    return servers;
  }

  get host(): string {
    return `host: ${this.http.address}`;
  }

  /** A raw connection to either interface. */
  async open(of: "socket" | "http"): Promise<RawConnection> {
    const socket = of === "socket" ? connect(this.path) : connect(Number(this.http.address.split(":").at(-1)), "127.0.0.1"); // prettier-ignore
    this.#opened.push(socket);
    const connection = new RawConnection(socket);
    await once(socket, "connect");
    return connection;
  }

  /** The text of a whole request to POST /rpc. */
  post(token: string | undefined, body: string, headers: readonly string[] = []): string {
    const authorization = token === undefined ? [] : [`authorization: Bearer ${token}`];
    const head = ["POST /rpc HTTP/1.1", this.host, ...authorization, `content-length: ${Buffer.byteLength(body)}`];
    return `${[...head, ...headers].join("\r\n")}\r\n\r\n${body}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#opened) socket.destroy();
    await this.socket[Symbol.asyncDispose]();
    await this.http[Symbol.asyncDispose]();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** The bytes of one connection, in both directions, as they are. */
export class RawConnection {
  readonly socket: Socket;
  text = "";
  readonly closed: Promise<unknown>;
  #changed = Promise.withResolvers<undefined>();

  constructor(socket: Socket) {
    this.socket = socket;
    this.closed = within("the end of a connection", new Promise((resolve) => socket.once("close", resolve)));
    this.closed.catch(() => {}); // Those who want to know wait for it.
    socket.on("error", () => {}); // A reset is an end too.
    socket.on("data", (chunk: Buffer) => {
      this.text += chunk.toString("latin1");
      this.#wake();
    });
    socket.on("close", () => this.#wake());
  }

  send(text: string): this {
    this.socket.write(text, "latin1");
    return this;
  }

  /** Resolves when so much of the kind has come, with all that has. */
  async until(pattern: RegExp, count = 1): Promise<string> {
    const all = new RegExp(pattern, "g");
    while ((this.text.match(all)?.length ?? 0) < count) {
      if (this.socket.destroyed)
        throw new Error(`closed before ${count} of ${String(pattern)}: ${this.text.slice(-300)}`);
      await within(`${count} of ${String(pattern)} in ${this.text.slice(-300)}`, this.#changed.promise);
    }
    return this.text;
  }

  #wake(): void {
    this.#changed.resolve(undefined);
    this.#changed = Promise.withResolvers();
  }
}

export const request = (id: unknown, method: string, params: object = {}): string =>
  JSON.stringify({ jsonrpc: "2.0", id, method, params });

export const login = (token: string): string => `${request("login", "auth/login", { token })}\n`;
