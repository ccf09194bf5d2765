import { Agent, request, type ClientRequest, type ClientRequestArgs, type IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { abortable } from "./abortable.ts";
import type { Connect } from "./outbound.ts";

export interface HttpClientOptions {
  readonly connect: Connect;
  /** Connections to one server at the same time. */
  readonly connectionsMax: number;
  /** False: each request has a connection of its own. True by default. */
  readonly keepsConnections?: boolean | undefined;
}

export interface HttpRequestOptions {
  readonly method: "GET" | "POST" | "DELETE";
  readonly headers?: Readonly<Record<string, string>> | undefined;
  readonly body?: string | Buffer | undefined;
  /** Ends the request, and the reading of its answer, with its reason. */
  readonly signal?: AbortSignal | undefined;
}

export interface HttpAnswer {
  readonly statusCode: number;
  readonly headers: IncomingMessage["headers"];
  /** To be read to its end, or destroyed: until then it has its connection. */
  readonly body: IncomingMessage;
}

/** A connection nobody has asked for anything for so long is closed, unless the server names another time. Servers keep one for 5 s and more. */
const idleMsMax = 4_000;

/** HTTP over connections of the daemon's one door to the network. A redirect is an answer like any other: it is followed nowhere. */
export class HttpClient implements AsyncDisposable {
  readonly #agent: DoorAgent;
  readonly #stop = new AbortController();
  /** Requests that may begin. Node's own limit of connections does not count those that are being opened. */
  #places: number;
  readonly #waiting: (() => void)[] = [];

  constructor({ connect, connectionsMax, keepsConnections = true }: HttpClientOptions) {
    this.#agent = new DoorAgent(connect, keepsConnections, this.#stop.signal);
    this.#places = connectionsMax;
  }

  /** Resolves with the head of the answer. Rejects with what the door says, the reason of a signal, or an error of the connection. */
  async request(url: string, { method, headers, body, signal }: HttpRequestOptions): Promise<HttpAnswer> {
    const signals = signal === undefined ? this.#stop.signal : AbortSignal.any([signal, this.#stop.signal]);
    const { hostname, host, port, pathname, search, origin } = new URL(url);
    // The connection comes from the door, TLS and all, so for Node every request is a plain one.
    const target: DoorRequest = { host: hostname, port, path: pathname + search, doorOrigin: origin };
    const length = body === undefined ? {} : { "content-length": Buffer.byteLength(body) };
    await this.#place(signals);
    let asked: ClientRequest;
    try {
      asked = request({ ...target, method, agent: this.#agent, headers: { host, ...headers, ...length } });
    } catch (error) {
      this.#leave(); // Such as a header that HTTP cannot carry.
      throw error;
    }
    const head = Promise.withResolvers<IncomingMessage>();
    asked.once("response", head.resolve);
    asked.on("error", head.reject); // Once the head is there, the body tells.
    // A server that changes the protocol gives neither an answer nor an error.
    asked.once("close", () => head.reject(new Error("the connection has ended without an answer")));
    asked.once("close", () => this.#leave());
    asked.end(body);
    try {
      const answer = await abortable(head.promise, signals);
      const leave = (): void => void answer.destroy(toError(signals.reason));
      signals.addEventListener("abort", leave, { once: true });
      answer.once("close", () => {
        signals.removeEventListener("abort", leave);
        // Answered before all was sent, such as with 413: Node would wait until the server has taken the rest.
        if (!asked.writableFinished) asked.destroy();
      });
      return { statusCode: answer.statusCode ?? 0, headers: answer.headers, body: answer };
    } catch (error) {
      asked.destroy(); // It may still wait for its connection.
      throw error;
    }
  }

  async #place(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (this.#places > 0) {
      this.#places -= 1;
      return;
    }
    const { promise, resolve } = Promise.withResolvers<undefined>();
    const take = (): void => resolve(undefined);
    this.#waiting.push(take);
    try {
      await abortable(promise, signal);
    } catch (error) {
      const at = this.#waiting.indexOf(take);
      if (at === -1)
        this.#leave(); // Both at once: the place was given already.
      else this.#waiting.splice(at, 1);
      throw error;
    }
  }

  /** Whoever is next takes the place over, so that nobody comes in between. */
  #leave(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#places += 1;
    else next();
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new Error("the daemon is stopping"));
    this.#agent.destroy();
    return Promise.resolve();
  }
}

interface DoorRequest extends ClientRequestArgs {
  /** Whom the connection is to: an http and an https of one port are two servers. */
  readonly doorOrigin: string;
}

class DoorAgent extends Agent {
  readonly #connect: Connect;
  readonly #signal: AbortSignal;

  constructor(connect: Connect, keepAlive: boolean, signal: AbortSignal) {
    super({ keepAlive, timeout: idleMsMax });
    this.#connect = connect;
    this.#signal = signal;
  }

  override getName(options?: ClientRequestArgs): string {
    return (options as DoorRequest).doorOrigin;
  }

  override createConnection(
    options: ClientRequestArgs,
    connected?: (error: Error | null, socket: Duplex) => void,
  ): undefined {
    this.#connect(new URL((options as DoorRequest).doorOrigin), this.#signal).then(
      (socket) => connected?.(null, socket),
      // Node takes no socket beside an error.
      (error: unknown) => (connected as (error: Error) => void)(toError(error)),
    );
  }
}

function toError(value: unknown): Error {
  return value instanceof Error ? value : new Error(String(value));
}
