/**
 * The network between a daemon and its cloud, on a socket, with faults: it looks at the first line of what the daemon sends
 * and passes on, loses, cuts or answers in the cloud's place. The programs on both sides are the real ones.
 */
import { once } from "node:events";
import { connect, createServer, type AddressInfo, type Socket } from "node:net";

/**
 * before  the request never arrives.
 * after   it arrives, and its answer is lost.
 * cut     half of the answer comes.
 * page    a proxy answers with a page of its own.
 */
export type Fault = "before" | "after" | "cut" | "page";

const page = "<html>Only browsers are welcome here</html>";
const pageAnswer = `HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: ${page.length}\r\n\r\n${page}`;
const refusal = `HTTP/1.1 403 Forbidden\r\ncontent-type: text/html\r\ncontent-length: ${page.length}\r\nconnection: close\r\n\r\n${page}`;

export class FaultProxy implements AsyncDisposable {
  /** What happens to the next requests whose first line contains the key; each fault is used once. */
  readonly faults: { readonly to: string; readonly fault: Fault }[] = [];
  /** Whether upgrades to WebSocket are answered with a page, as some company proxies do. */
  refusesUpgrades = false;
  /** Whether everything that daemons send is lost, on connections that stay open. */
  isDeaf = false;
  /** First lines of the requests that came, in order. */
  readonly requests: string[] = [];
  readonly #sockets = new Set<Socket>();
  readonly #server = createServer((client) => this.#serve(client));
  readonly #upstream: URL;

  private constructor(upstream: string) {
    this.#upstream = new URL(upstream);
  }

  static async start(upstream: string): Promise<FaultProxy> {
    const proxy = new FaultProxy(upstream);
    proxy.#server.listen(0, "127.0.0.1");
    await once(proxy.#server, "listening");
    return proxy;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** How many requests came whose first line contains the text. */
  count(text: string): number {
    return this.requests.filter((line) => line.includes(text)).length;
  }

  /** Breaks every connection that is open. */
  cut(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  #serve(client: Socket): void {
    const upstream = connect(Number(this.#upstream.port), this.#upstream.hostname);
    let answering: Fault | undefined;
    for (const socket of [client, upstream]) {
      this.#sockets.add(socket);
      socket.on("error", () => {});
      socket.on("close", () => {
        this.#sockets.delete(socket);
        client.destroy();
        upstream.destroy();
      });
    }
    client.on("data", (chunk) => {
      if (this.isDeaf) return;
      const text = chunk.toString("latin1");
      const line = /^(?:GET|POST|DELETE) [^\r\n]*/.exec(text)?.[0];
      if (line === undefined) {
        upstream.write(chunk);
        return;
      }
      this.requests.push(line);
      if (this.refusesUpgrades && /\r\nupgrade: websocket\r\n/i.test(text)) {
        client.end(refusal);
        return;
      }
      const index = this.faults.findIndex(({ to }) => line.includes(to));
      const fault = index === -1 ? undefined : this.faults.splice(index, 1)[0]?.fault;
      if (fault === "before") client.destroy();
      else if (fault === "page") client.write(pageAnswer);
      else {
        answering = fault;
        upstream.write(chunk);
      }
    });
    upstream.on("data", (chunk) => {
      if (answering === "after") client.destroy();
      else if (answering === "cut") client.end(chunk.subarray(0, chunk.length / 2));
      else client.write(chunk);
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.cut();
    this.#server.close();
    await once(this.#server, "close");
  }
}
