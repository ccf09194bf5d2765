/**
 * A JSON-RPC caller that is nobody's library: it sends what a test says, byte for byte, and shows what comes back. For the
 * daemon's unix socket (a message a line) and for its WebSocket and the cloud's (a message a frame).
 */
import { createConnection } from "node:net";
import { connectWebSocket } from "@hl/core/rpc/connect-websocket.ts";
import { within, waitMsMax } from "./waiting.ts";

/** A message of any shape; assertions judge it. */
// eslint-disable-next-line @typescript-eslint/no-explicit-any
export type Message = any;

type Wanted = (message: Message) => boolean;

interface Waiting {
  readonly wanted: Wanted;
  readonly resolve: (message: Message) => void;
  readonly reject: (error: Error) => void;
}

/** What carries the bytes. */
interface Wire {
  send(data: string | Uint8Array): void;
  close(): void;
  pause(): void;
  resume(): void;
}

/** The other side answered with an error object. */
export class CallFailed extends Error {
  override readonly name = "CallFailed";
  readonly error: { code: number; message: string; data?: Message };

  constructor(error: { code: number; message: string; data?: Message }) {
    super(`${error.code} ${error.message}`);
    this.error = error;
  }
}

export class MessageClient implements Disposable {
  readonly #wire: Wire;
  readonly #closed = Promise.withResolvers<undefined>();
  readonly #waiting = new Set<Waiting>();
  /** Sees every message first; one for which it answers true is not kept. For streams that are too large to keep. */
  listener: ((message: Message) => boolean) | undefined;
  #kept: Message[] = [];
  #lastId = 0;

  constructor(wire: Wire) {
    this.#wire = wire;
  }

  /** Resolves when the connection has ended, from whichever side. */
  get closed(): Promise<undefined> {
    return this.#closed.promise;
  }

  /** Takes nothing from the other side until `resume`: a reader that is slow. */
  pause(): void {
    this.#wire.pause();
  }

  resume(): void {
    this.#wire.resume();
  }

  /** Sends bytes or text as they are. */
  raw(data: string | Uint8Array): void {
    this.#wire.send(data);
  }

  /** Sends a message and resolves with the whole message that carries its id. */
  async ask(message: Message, ms?: number): Promise<Message> {
    const answer = this.next((candidate) => candidate.id === message.id && !("method" in candidate), ms);
    this.#wire.send(`${JSON.stringify(message)}\n`);
    return answer;
  }

  /** The result of a request with an id of its own; rejects with `CallFailed`. */
  async call(method: string, params: object = {}, ms?: number): Promise<Message> {
    const answer = await this.ask({ jsonrpc: "2.0", id: `call-${++this.#lastId}`, method, params }, ms);
    if ("error" in answer) throw new CallFailed(answer.error);
    return answer.result;
  }

  /** The next message that is wanted, one that came before and was not asked for included. Others stay. */
  next(wanted: Wanted, ms: number = waitMsMax): Promise<Message> {
    const index = this.#kept.findIndex(wanted);
    if (index !== -1) return Promise.resolve(this.#kept.splice(index, 1)[0]);
    const { promise, resolve, reject } = Promise.withResolvers<Message>();
    const waiting = { wanted, resolve, reject };
    this.#waiting.add(waiting);
    return within(`a message that satisfies ${String(wanted)}`, promise, ms).finally(() =>
      this.#waiting.delete(waiting),
    );
  }

  /** Lets go of what came before and was not asked for. */
  forget(unwanted: Wanted): void {
    this.#kept = this.#kept.filter((message) => !unwanted(message));
  }

  /** For the wire: a whole message has come. */
  take(text: string): void {
    const message: Message = JSON.parse(text);
    if (this.listener?.(message) === true) return;
    for (const waiting of this.#waiting) {
      if (!waiting.wanted(message)) continue;
      this.#waiting.delete(waiting);
      waiting.resolve(message);
      return;
    }
    this.#kept.push(message);
  }

  /** For the wire: nothing more will come. */
  end(): void {
    for (const { reject, wanted } of this.#waiting) reject(new Error(`the connection closed before ${String(wanted)}`));
    this.#waiting.clear();
    this.#closed.resolve(undefined);
  }

  [Symbol.dispose](): void {
    this.#wire.close();
  }
}

/** Connects to a unix socket; with a token it logs in. */
export async function connectSocket(path: string, token?: string): Promise<MessageClient> {
  const socket = createConnection(path);
  const client = new MessageClient({
    send: (data) => void socket.write(data),
    close: () => void socket.destroy(),
    pause: () => void socket.pause(),
    resume: () => void socket.resume(),
  });
  let rest: Buffer[] = [];
  socket.on("data", (chunk: Buffer) => {
    let start = 0;
    for (let end = chunk.indexOf(10); end !== -1; end = chunk.indexOf(10, start)) {
      client.take(Buffer.concat([...rest, chunk.subarray(start, end)]).toString("utf8"));
      rest = [];
      start = end + 1;
    }
    if (start < chunk.length) rest.push(chunk.subarray(start));
  });
  const connected = Promise.withResolvers<undefined>();
  socket.once("connect", () => connected.resolve(undefined));
  socket.on("error", (error) => connected.reject(error));
  socket.on("close", () => client.end());
  await connected.promise;
  if (token !== undefined) await client.call("auth/login", { token });
  return client;
}

/** Opens a WebSocket, `ws://…`; rejects with `UpgradeRefused` when the server does not want it. */
export async function connectSocketFrames(
  url: string,
  token: string | undefined,
  options: { readonly subprotocol?: string; readonly headers?: Readonly<Record<string, string>> } = {},
): Promise<MessageClient> {
  const authorization: Record<string, string> = token === undefined ? {} : { authorization: `Bearer ${token}` };
  const socket = await connectWebSocket({
    url,
    subprotocol: options.subprotocol,
    headers: { ...authorization, ...options.headers },
    messageBytesMax: 64 * 1024 * 1024,
    timeoutMs: waitMsMax,
  });
  const client = new MessageClient({
    send: (data) => socket.send(data, () => {}), // A connection that was closed meanwhile is told by `closed`.
    close: () => socket.terminate(),
    pause: () => socket.pause(),
    resume: () => socket.resume(),
  });
  socket.on("message", (data: Buffer) => client.take(data.toString("utf8")));
  socket.on("close", () => client.end());
  socket.resume();
  return client;
}
