/**
 * Garbage as fast as wanted, over many connections that are opened again when the other side closes them: what a process does that has found
 * one of the daemon's local interfaces and has no token. For the system tests and the bench.
 */
import type { Socket } from "node:net";

/** Something to send, and as how many requests it counts. */
export interface Garbage {
  readonly name: string;
  readonly bytes: Buffer;
  readonly requests: number;
}

const garbage = (name: string, text: string, requests = 1): Garbage => ({
  name,
  bytes: Buffer.from(text, "latin1"),
  requests,
});

const message = (method: string, params: object = {}): string =>
  JSON.stringify({ jsonrpc: "2.0", id: 1, method, params });

/** For a socket of lines. */
export const lineGarbage: readonly Garbage[] = [
  garbage("not JSON", "GET / HTTP/1.1 or anything else\n"),
  garbage("unknown method", `${message("no/such/method")}\n`),
  garbage("no login", `${message("system/health")}\n`),
  garbage("wrong token", `${message("auth/login", { token: "hl_local_wrong" })}\n`),
  garbage("half a line", '{"jsonrpc":"2.0","id":1,'),
  garbage("huge line", `${"x".repeat(200_000)}\n`),
  garbage("binary", "\xff\xfe\0\x80\n"),
  garbage("batch", `[${Array.from({ length: 10 }, () => message("system/ping")).join(",")}]\n`, 10),
  garbage("pipelined", `${message("command/list")}\n`.repeat(10), 10),
  garbage("no message", "[1,null,{}]\n"),
];

/** For HTTP. */
export function httpGarbage(host: string): readonly Garbage[] {
  const request = (line: string, headers: readonly string[] = [], body = ""): string =>
    `${[`${line} HTTP/1.1`, `host: ${host}`, `content-length: ${body.length}`, ...headers].join("\r\n")}\r\n\r\n${body}`;
  const noToken = request("POST /rpc", [], message("system/health"));
  return [
    garbage("no token", noToken),
    garbage("wrong token", request("POST /rpc", ["authorization: Bearer wrong"], message("system/health"))),
    garbage("not JSON", request("POST /rpc", ["authorization: Bearer wrong"], "garbage")),
    garbage("unknown path", request("GET /no/such/path")),
    garbage("no HTTP", "\0\x01\x02 nothing of the kind\r\n\r\n"),
    garbage("half a head", "POST /rpc HTTP/1.1\r\nx-half: "),
    garbage("huge head", request("GET /metrics", [`x-huge: ${"x".repeat(20_000)}`])),
    garbage("huge body", request("POST /rpc", [], "x".repeat(200_000))),
    garbage("foreign host", noToken.replace(host, "evil.example:80")),
    garbage("upgrade", request("GET /rpc", ["connection: upgrade", "upgrade: websocket"])),
    garbage("pipelined", noToken.repeat(10), 10),
  ];
}

interface Lane {
  socket: Socket | undefined;
  isOpen: boolean;
}

/** A connection whose other side reads nothing is left alone until it does. */
const unsentBytesMax = 1_000_000;

export interface FloodOptions {
  readonly connect: () => Socket;
  readonly garbage: readonly Garbage[];
  readonly connections: number;
}

export class Flood implements Disposable {
  readonly #options: FloodOptions;
  readonly #lanes: readonly Lane[];
  #next = 0;
  #nextLane = 0;
  #requests = 0;
  #opened = 0;
  #received = 0;

  constructor(options: FloodOptions) {
    this.#options = options;
    this.#lanes = Array.from({ length: options.connections }, () => ({ socket: undefined, isOpen: false }));
  }

  /** Requests that were written so far. */
  get requests(): number {
    return this.#requests;
  }

  /** Connections that were opened so far. */
  get opened(): number {
    return this.#opened;
  }

  /** Bytes of answers. */
  get received(): number {
    return this.#received;
  }

  /** Writes so many requests, as far as there are connections that take them. */
  send(requests: number): void {
    let left = requests;
    for (let tries = 0; left > 0 && tries < requests + this.#lanes.length; tries += 1) {
      const lane = this.#lanes[this.#nextLane++ % this.#lanes.length]!;
      if (lane.socket === undefined) this.#open(lane);
      const { socket, isOpen } = lane;
      if (!isOpen || socket === undefined || socket.writableLength > unsentBytesMax) continue;
      const item = this.#options.garbage[this.#next++ % this.#options.garbage.length]!;
      socket.write(item.bytes);
      left -= item.requests;
      this.#requests += item.requests;
    }
  }

  [Symbol.dispose](): void {
    for (const { socket } of this.#lanes) socket?.destroy();
  }

  #open(lane: Lane): void {
    const socket = this.#options.connect();
    lane.socket = socket;
    this.#opened += 1;
    socket.on("connect", () => (lane.isOpen = true));
    socket.on("data", (chunk) => (this.#received += chunk.length));
    socket.on("error", () => {});
    socket.on("close", () => {
      lane.socket = undefined;
      lane.isOpen = false;
    });
  }
}
