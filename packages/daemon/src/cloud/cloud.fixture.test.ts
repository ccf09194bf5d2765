/**
 * A cloud that says what a test tells it to, on a real socket: the client under test is the real one.
 */
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { gunzipSync } from "node:zlib";
import type { Clock } from "@hl/core/clock.ts";
import { testConnect } from "../network/testing/open-connect.ts";
import { CloudHttp, type CloudHttpOptions } from "./http.ts";

export interface Received {
  readonly path: string;
  readonly authorization: string | undefined;
  readonly compressed: boolean;
  readonly headers: IncomingMessage["headers"];
  readonly body: any; // eslint-disable-line @typescript-eslint/no-explicit-any -- What a test looks into.
}

/** Answers with a body, or does what it likes with the response. */
export type Responder = (received: Received, response: ServerResponse) => unknown;

export const result = (received: Received, value: unknown): object => ({
  jsonrpc: "2.0",
  id: received.body.id,
  result: value,
});

export const failure = (received: Received, code: number, message: string, data?: object): object => ({
  jsonrpc: "2.0",
  id: received.body.id,
  error: { code, message, data },
});

/** The network breaks before an answer. */
export const lost: Responder = (_received, response) => void response.destroy();

export class ScriptedCloud implements AsyncDisposable {
  readonly received: Received[] = [];
  readonly #server = createServer((request, response) => void this.#serve(request, response));
  readonly #script: Responder[] = [];
  #otherwise: Responder = lost;

  static async start(): Promise<ScriptedCloud> {
    const cloud = new ScriptedCloud();
    cloud.#server.listen(0, "127.0.0.1");
    await once(cloud.#server, "listening");
    return cloud;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** The next requests, in order; what comes behind them is answered by `otherwise`. */
  next(...responders: Responder[]): this {
    this.#script.push(...responders);
    return this;
  }

  otherwise(responder: Responder): this {
    this.#otherwise = responder;
    return this;
  }

  client(clock: Clock, changes: Partial<CloudHttpOptions> = {}): CloudHttp {
    return new CloudHttp({
      clock,
      timeoutMs: 10_000,
      compression: { level: 6, bytesMin: 256 },
      connectionsMax: 4,
      answerBytesMax: 100_000,
      connect: testConnect({ clock }),
      retryAfterMaxMs: 900_000,
      ...changes,
    });
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const parts: Buffer[] = [];
    for await (const part of request) parts.push(part as Buffer);
    const compressed = request.headers["content-encoding"] === "gzip";
    const bytes = compressed ? gunzipSync(Buffer.concat(parts)) : Buffer.concat(parts);
    const { headers, url: path = "" } = request;
    const body: unknown = JSON.parse(bytes.toString("utf8"));
    const received = { path, authorization: headers.authorization, compressed, headers, body };
    this.received.push(received);
    const answer = await (this.#script.shift() ?? this.#otherwise)(received, response);
    if (answer === undefined || response.writableEnded || response.destroyed) return;
    response.setHeader("content-type", "application/json");
    response.end(JSON.stringify(answer));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close();
    this.#server.closeAllConnections();
    await once(this.#server, "close");
  }
}
