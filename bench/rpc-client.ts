import { createConnection, type Socket } from "node:net";

/** The whole of a message that came in, as far as the client has looked at it. */
type Waiter = Readonly<{ resolve: (text: string) => void; reject: (error: Error) => void }>;

/**
 * A client that costs as little as a client can, because its time is in every measured number: requests are written as text,
 * answers are matched by a numeric id found by position, and parsed only by those who want the result.
 */
export class RpcClient {
  readonly #socket: Socket;
  readonly #waiting = new Map<number, Waiter>();
  /** Called with every notification, as text. */
  onNotification: ((text: string) => void) | undefined;
  /** While set, bytes go here and nothing is parsed. */
  onBytes: ((chunk: Buffer) => void) | undefined;
  #nextId = 1;
  #rest = "";
  /** Requests of this turn: they leave in one piece, as the answers of the daemon do. */
  #unsent = "";

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.on("data", (chunk: Buffer) => this.#receive(chunk));
    socket.on("error", (error) => this.#fail(error));
    socket.on("close", () => this.#fail(new Error("the connection has closed")));
  }

  static connect(path: string): Promise<RpcClient> {
    return new Promise((resolve, reject) => {
      const socket = createConnection(path);
      socket.once("error", reject);
      socket.once("connect", () => {
        socket.off("error", reject);
        resolve(new RpcClient(socket));
      });
    });
  }

  async request<T = unknown>(method: string, params: object = {}): Promise<T> {
    const text = await this.send(method, JSON.stringify(params));
    return (JSON.parse(text) as { result: T }).result;
  }

  /** Resolves with the answer as text; rejects when it is an error. */
  send(method: string, params: string): Promise<string> {
    const id = this.#nextId++;
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    this.#waiting.set(id, { resolve, reject });
    if (this.#unsent === "") process.nextTick(() => this.#flush());
    this.#unsent += `{"jsonrpc":"2.0","id":${id},"method":"${method}","params":${params}}\n`;
    return promise;
  }

  close(): void {
    this.#socket.destroy();
  }

  #flush(): void {
    this.#socket.write(this.#unsent);
    this.#unsent = "";
  }

  #receive(chunk: Buffer): void {
    if (this.onBytes !== undefined) {
      this.onBytes(chunk);
      return;
    }
    const text = this.#rest + chunk.toString("latin1");
    let start = 0;
    for (let end = text.indexOf("\n"); end !== -1; end = text.indexOf("\n", start)) {
      this.#line(text.slice(start, end));
      start = end + 1;
    }
    this.#rest = text.slice(start);
  }

  #line(line: string): void {
    const head = /^\{"jsonrpc":"2\.0","id":(\d+),"(result|error)"/.exec(line);
    if (head === null) {
      this.onNotification?.(line);
      return;
    }
    const waiter = this.#waiting.get(Number(head[1]));
    this.#waiting.delete(Number(head[1]));
    if (head[2] === "result") waiter?.resolve(line);
    else waiter?.reject(new Error(line));
  }

  #fail(error: Error): void {
    for (const waiter of this.#waiting.values()) waiter.reject(error);
    this.#waiting.clear();
  }
}
