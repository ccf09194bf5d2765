/** The real proxy on a real unix socket, with origins of the test's own on loopback, and names that resolve as the test says. */
import { once } from "node:events";
import { request, type IncomingHttpHeaders, type IncomingMessage } from "node:http";
import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { join } from "node:path";
import { systemClock } from "@hl/core/clock.ts";
import { temporaryFolder } from "@hl/testkit/programs.ts";
import { EgressPolicy, type EgressLists } from "./egress-policy.ts";
import {
  defaultEgressLimits,
  EgressProxy,
  type EgressDecision,
  type EgressLimits,
  type EgressProxyOptions,
} from "./egress-proxy.ts";

export interface FixtureOptions extends Partial<EgressLists> {
  readonly limits?: Partial<EgressLimits>;
  readonly clock?: EgressProxyOptions["clock"];
  readonly resolve?: EgressProxyOptions["resolve"];
  readonly onDecision?: EgressProxyOptions["onDecision"];
}

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly rawHeaders: readonly string[];
  readonly text: string;
}

export interface AskOptions {
  readonly method?: string;
  readonly headers?: Record<string, string>;
  readonly body?: string;
}

export class EgressFixture implements AsyncDisposable {
  readonly proxy: EgressProxy;
  readonly decisions: EgressDecision[] = [];
  readonly #folder: Disposable;
  readonly #owned = new AsyncDisposableStack();

  private constructor(options: FixtureOptions) {
    const folder = temporaryFolder("hle");
    this.#folder = folder;
    this.proxy = new EgressProxy({
      socketPath: join(folder.path, "egress.sock"),
      policy: new EgressPolicy({ allowed: [], blocked: [], ownAddresses: () => [], ...options }),
      resolve: options.resolve ?? (() => Promise.reject(new Error("no name is known here"))),
      clock: options.clock ?? systemClock,
      limits: { ...defaultEgressLimits, ...options.limits },
      onDecision: options.onDecision ?? ((decision) => void this.decisions.push(decision)),
    });
  }

  static async start(options: FixtureOptions = {}): Promise<EgressFixture> {
    const fixture = new EgressFixture(options);
    await fixture.proxy.start();
    return fixture;
  }

  /** A bare connection to the proxy. */
  async open(): Promise<Socket> {
    const socket = connect({ path: this.proxy.socketPath, allowHalfOpen: true });
    socket.on("error", () => {});
    this.#owned.defer(() => void socket.destroy());
    await once(socket, "connect");
    return socket;
  }

  /** A tunnel, or the refusal: the socket behind the blank line, and the head before it. */
  async tunnel(destination: string, early = ""): Promise<{ readonly socket: Socket; readonly head: string }> {
    const socket = await this.open();
    socket.write(`CONNECT ${destination} HTTP/1.1\r\nHost: ${destination}\r\n\r\n${early}`);
    return { socket, head: await headOf(socket) };
  }

  /** A plain request in absolute form. */
  async ask(url: string, options: AskOptions = {}): Promise<Answer> {
    const { method = "GET", headers = {}, body } = options;
    const asked = request({ socketPath: this.proxy.socketPath, method, path: url, headers, agent: false });
    asked.end(body === undefined ? undefined : Buffer.from(body));
    const [response] = (await once(asked, "response")) as [IncomingMessage];
    const { statusCode = 0, headers: answered, rawHeaders } = response;
    return { status: statusCode, headers: answered, rawHeaders, text: await textOf(response) };
  }

  /** What the shim of hl-runner does in a command's network namespace: a TCP port whose connections are the proxy's. */
  async relay(): Promise<string> {
    const port = await this.serve((client) => {
      const inner = connect(this.proxy.socketPath);
      for (const socket of [client, inner]) socket.on("error", () => {});
      client.pipe(inner).pipe(client);
    });
    return `http://127.0.0.1:${port}`;
  }

  /** An origin that speaks bare TCP; answers its port. */
  async serve(onConnection: (socket: Socket) => void, host = "127.0.0.1", port = 0): Promise<number> {
    const server = createServer({ allowHalfOpen: true }, (socket) => {
      socket.on("error", () => {});
      this.#owned.defer(() => void socket.destroy());
      onConnection(socket);
    });
    return this.own(server, host, port);
  }

  async own(server: Server, host = "127.0.0.1", port = 0): Promise<number> {
    server.listen(port, host);
    await once(server, "listening");
    this.#owned.defer(async () => {
      if ("closeAllConnections" in server) (server as Server & { closeAllConnections(): void }).closeAllConnections();
      server.close();
    });
    return (server.address() as AddressInfo).port;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#owned.disposeAsync();
    await this.proxy[Symbol.asyncDispose]();
    this.#folder[Symbol.dispose]();
  }
}

/** Reads up to the blank line and leaves the rest. */
export async function headOf(socket: Socket): Promise<string> {
  let head = "";
  while (!head.includes("\r\n\r\n")) {
    const chunk = socket.read() as Buffer | null;
    if (chunk === null) {
      if (socket.readableEnded || socket.destroyed) return head;
      await Promise.race([once(socket, "readable"), once(socket, "end"), once(socket, "close")]);
      continue;
    }
    head += chunk.toString("latin1");
  }
  const end = head.indexOf("\r\n\r\n") + 4;
  socket.unshift(Buffer.from(head.slice(end), "latin1"));
  return head.slice(0, end);
}

/** All that comes until the end. */
export async function textOf(stream: AsyncIterable<Buffer>): Promise<string> {
  const parts: Buffer[] = [];
  for await (const part of stream) parts.push(part);
  return Buffer.concat(parts).toString("utf8");
}
