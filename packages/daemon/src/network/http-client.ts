import { Agent, request, type Dispatcher } from "undici";
import type { Connect } from "./outbound.ts";

export interface HttpClientOptions {
  readonly connect: Connect;
  /** Connections to one server at the same time. */
  readonly connectionsMax: number;
}

export type HttpRequestOptions = Omit<Dispatcher.RequestOptions, "origin" | "path" | "method" | "opaque"> & {
  readonly method: Dispatcher.HttpMethod;
};

/** HTTP over connections of the daemon's one door to the network. A redirect is an answer like any other: it is followed nowhere. */
export class HttpClient implements AsyncDisposable {
  readonly #agent: Agent;
  readonly #stop = new AbortController();

  constructor({ connect, connectionsMax }: HttpClientOptions) {
    this.#agent = new Agent({
      connections: connectionsMax,
      connect: ({ protocol, host, hostname, port }, connected) => {
        const authority = host ?? (port === "" ? hostname : `${hostname}:${port}`);
        connect(new URL(`${protocol}//${authority}`), this.#stop.signal).then(
          (socket) => connected(null, socket),
          (error: unknown) => connected(error instanceof Error ? error : new Error(String(error)), null),
        );
      },
    });
  }

  request(url: string, options: HttpRequestOptions): Promise<Dispatcher.ResponseData> {
    return request(url, { ...options, dispatcher: this.#agent });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new Error("the daemon is stopping"));
    await this.#agent.destroy();
  }
}
