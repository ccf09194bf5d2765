import { createConnection, type Socket } from "node:net";

/** One keep-alive connection with one request at a time, without the cost of a general HTTP client. */
export class HttpClient {
  readonly #socket: Socket;
  #answered: PromiseWithResolvers<string> | undefined;
  #text = "";

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.on("data", (chunk: Buffer) => this.#receive(chunk.toString("latin1")));
    socket.on("error", (error) => this.#answered?.reject(error));
    socket.on("close", () => this.#answered?.reject(new Error("the connection has closed")));
  }

  /** @param address `HOST:PORT` */
  static connect(address: string): Promise<HttpClient> {
    const [host = "", port] = address.split(":");
    return new Promise((resolve, reject) => {
      const socket = createConnection(Number(port), host);
      socket.setNoDelay(true);
      socket.once("error", reject);
      socket.once("connect", () => {
        socket.off("error", reject);
        resolve(new HttpClient(socket));
      });
    });
  }

  /** The text of a whole request; answers the text of the whole answer, which has to be a 200. */
  send(request: string): Promise<string> {
    const answered = Promise.withResolvers<string>();
    this.#answered = answered;
    this.#socket.write(request);
    return answered.promise;
  }

  close(): void {
    this.#socket.destroy();
  }

  #receive(text: string): void {
    this.#text += text;
    const headEnd = this.#text.indexOf("\r\n\r\n");
    if (headEnd === -1) return;
    const length = Number(/content-length: (\d+)/i.exec(this.#text)?.[1]);
    if (this.#text.length < headEnd + 4 + length) return;
    const answer = this.#text;
    this.#text = "";
    if (answer.startsWith("HTTP/1.1 200 ")) this.#answered?.resolve(answer);
    else this.#answered?.reject(new Error(answer));
  }
}

export function getRequest(address: string, path: string): string {
  return `GET ${path} HTTP/1.1\r\nhost: ${address}\r\n\r\n`;
}

export function rpcRequest(address: string, token: string, method: string): string {
  const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method, params: {} });
  const head = `POST /rpc HTTP/1.1\r\nhost: ${address}\r\nauthorization: Bearer ${token}`;
  return `${head}\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`;
}
