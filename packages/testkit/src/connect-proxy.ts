/**
 * An HTTP proxy that makes tunnels, as fleets have them: it resolves names by a table of the test's, may want a name and a password, and
 * remembers what it was asked. On loopback.
 */
import { once } from "node:events";
import { createServer, type IncomingMessage, type Server } from "node:http";
import { createServer as createTlsServer } from "node:https";
import { connect, type AddressInfo, type Socket } from "node:net";
import type { Duplex } from "node:stream";

export interface ConnectProxyOptions {
  /** Ports on loopback by `host:port` as clients ask for them; what is not here is answered 502. */
  readonly hosts: Readonly<Record<string, number>>;
  /** Asked for with 407 where it is wrong. */
  readonly credentials?: { readonly user: string; readonly password: string };
  /** Answers every request with these bytes instead, and ends. */
  readonly answer?: string;
  /** TLS on the way to the proxy. */
  readonly tls?: { readonly cert: string; readonly key: string };
}

export class ConnectProxy implements AsyncDisposable {
  /** What was asked for, in order. */
  readonly asked: string[] = [];
  /** Headers of each request. */
  readonly headers: IncomingMessage["headers"][] = [];
  readonly #options: ConnectProxyOptions;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(options: ConnectProxyOptions) {
    this.#options = options;
    this.#server = options.tls === undefined ? createServer() : createTlsServer(options.tls);
    this.#server.on("connection", (socket: Socket) => this.#hold(socket));
    this.#server.on("connect", (request: IncomingMessage, client: Duplex) => this.#connect(request, client));
    this.#server.on("tlsClientError", () => {}); // A client that does not trust us is a case like any other.
  }

  static async start(options: ConnectProxyOptions): Promise<ConnectProxy> {
    const proxy = new ConnectProxy(options);
    proxy.#server.listen(0, "127.0.0.1");
    await once(proxy.#server, "listening");
    return proxy;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** For HTTPS_PROXY. */
  get url(): string {
    const { credentials, tls } = this.#options;
    const who = credentials === undefined ? "" : `${credentials.user}:${encodeURIComponent(credentials.password)}@`;
    return `${tls === undefined ? "http" : "https"}://${who}127.0.0.1:${this.port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
    await once(this.#server, "close");
  }

  #connect({ url = "", headers }: IncomingMessage, client: Duplex): void {
    client.on("error", () => {});
    this.asked.push(url);
    this.headers.push(headers);
    const { answer, credentials, hosts } = this.#options;
    if (answer !== undefined) {
      client.end(answer);
      return;
    }
    const wanted = credentials === undefined ? undefined : btoa(`${credentials.user}:${credentials.password}`);
    if (wanted !== undefined && headers["proxy-authorization"] !== `Basic ${wanted}`) {
      client.end(
        "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=x\r\nContent-Length: 0\r\n\r\n",
      );
      return;
    }
    const port = hosts[url];
    if (port === undefined) {
      client.end("HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n");
      return;
    }
    const server = connect(port, "127.0.0.1", () => {
      client.write("HTTP/1.1 200 Connection established\r\n\r\n");
      client.pipe(server).pipe(client);
    });
    this.#hold(server);
    server.once("close", () => client.destroy());
    client.once("close", () => server.destroy());
  }

  #hold(socket: Socket): void {
    socket.on("error", () => {});
    this.#sockets.add(socket);
    socket.once("close", () => this.#sockets.delete(socket));
  }
}
