/**
 * A stub of the Anthropic Messages API on 127.0.0.1, for tests and the demo that drive real agents without a network.
 *
 * It owns one HTTP server and the record of what was asked. Per request a script decides what the model does; disposing the stub
 * aborts every open answer and closes every connection. Model calls (`POST /v1/messages`) are counted from 1, other requests
 * (`count_tokens`, the agent's reachability probes) are recorded but never reach the script.
 */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { systemClock, type Clock } from "@hl/core/clock.ts";
import { defaultScript } from "./default-script.ts";
import { answerFixedRoute, isModelCall } from "./fixed-routes.ts";
import { errorReply, type ModelReply } from "./model-reply.ts";
import { redactHeaders, type MessagesBody, type ModelRequest } from "./model-request.ts";
import { sendReply } from "./send-reply.ts";

/** Decides what the model does with a request. One that throws answers 500 with the message of the error, and no retry. */
export type ModelScript = (request: ModelRequest) => ModelReply | Promise<ModelReply>;

export interface ModelApiOptions {
  /** The echo with directives of default-script.ts by default. */
  readonly script?: ModelScript | undefined;
  /** 0, the default, takes a free port. */
  readonly port?: number | undefined;
  readonly clock?: Clock | undefined;
}

/** A running stub. */
export interface ModelApi extends AsyncDisposable {
  /** The base address, without a slash at the end. */
  readonly url: string;
  /** Everything that was asked, oldest first, at most `requestsKeptMax`. */
  readonly requests: readonly ModelRequest[];
  /** How many model calls have come. */
  readonly calls: number;
  /** The n-th model call, from 1, as soon as it has come. Rejects when the stub is disposed first, or when it is no longer kept. */
  request(n: number): Promise<ModelRequest>;
  /** Replaces the script for requests to come. */
  setScript(script: ModelScript): void;
}

/** A soak test must not keep every conversation it ever had. */
export const requestsKeptMax = 10_000;
/** The real API refuses bodies over 32 MB. */
export const bodyBytesMax = 32 * 1024 * 1024;

/** Starts a stub; it listens when the promise resolves. */
export async function startModelApi(options: ModelApiOptions = {}): Promise<ModelApi> {
  const stub = new StubModelApi(options.script ?? defaultScript, options.clock ?? systemClock);
  await stub.listen(options.port ?? 0);
  return stub;
}

class StubModelApi implements ModelApi {
  url = "";
  calls = 0;
  readonly requests: ModelRequest[] = [];
  readonly #kept = new Map<number, ModelRequest>();
  readonly #waiting = new Map<number, PromiseWithResolvers<ModelRequest>>();
  readonly #stopped = new AbortController();
  readonly #server = createServer((request, response) => void this.#serve(request, response));
  readonly #clock: Clock;
  #script: ModelScript;
  #received = 0;

  constructor(script: ModelScript, clock: Clock) {
    this.#script = script;
    this.#clock = clock;
  }

  async listen(port: number): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.listen(port, "127.0.0.1", () => resolve());
    });
    const address = this.#server.address();
    if (address === null || typeof address === "string") throw new Error("The stub does not listen on a TCP port.");
    this.url = `http://127.0.0.1:${address.port}`;
  }

  setScript(script: ModelScript): void {
    this.#script = script;
  }

  request(n: number): Promise<ModelRequest> {
    const kept = this.#kept.get(n);
    if (kept) return Promise.resolve(kept);
    if (n <= this.calls) return Promise.reject(new Error(`Model call ${n} of ${this.calls} is no longer kept.`));
    if (this.#stopped.signal.aborted)
      return Promise.reject(new Error(`The stub has stopped after ${this.calls} model calls.`));
    const waiting = this.#waiting.get(n) ?? Promise.withResolvers<ModelRequest>();
    // A test that failed before it awaited this must not fail a second time with an unhandled rejection.
    waiting.promise.catch(() => {});
    this.#waiting.set(n, waiting);
    return waiting.promise;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#stopped.signal.aborted) return;
    this.#stopped.abort();
    for (const [n, waiting] of this.#waiting) {
      waiting.reject(new Error(`The stub has stopped after ${this.calls} model calls; call ${n} never came.`));
    }
    this.#waiting.clear();
    await new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
      this.#server.closeAllConnections();
    });
  }

  async #serve(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const left = new AbortController();
    const ended = Promise.withResolvers<"completed" | "aborted">();
    response.once("close", () => {
      ended.resolve(response.writableFinished ? "completed" : "aborted");
      left.abort();
    });
    response.on("error", () => {});
    try {
      const body = await readBody(incoming);
      const request = this.#record(incoming, body, ended.promise);
      if (!isModelCall(request)) {
        answerFixedRoute(request, response);
        return;
      }
      const signal = AbortSignal.any([left.signal, this.#stopped.signal]);
      await sendReply(await this.#decide(request, body), { request, response, clock: this.#clock, signal });
    } catch {
      // Only a client that left, or the stub's own end, gets here: there is nobody to tell.
      response.destroy();
    }
  }

  async #decide(request: ModelRequest, body: MessagesBody | undefined | "too large"): Promise<ModelReply> {
    if (body === "too large") return errorReply(413);
    if (body === undefined) return errorReply(400, { message: "the body is not a JSON object" });
    try {
      return await this.#script(request);
    } catch (error) {
      return errorReply(500, { message: `the script failed: ${String(error)}` });
    }
  }

  #record(
    incoming: IncomingMessage,
    body: MessagesBody | undefined | "too large",
    ended: Promise<"completed" | "aborted">,
  ): ModelRequest {
    const [path = "", query = ""] = (incoming.url ?? "").split("?", 2);
    this.#received += 1;
    const request: ModelRequest = {
      number: this.#received,
      method: incoming.method ?? "",
      path,
      query,
      headers: redactHeaders(incoming.headers),
      body: body === "too large" ? undefined : body,
      ended,
    };
    this.requests.push(request);
    if (this.requests.length > requestsKeptMax) this.requests.shift();
    if (isModelCall(request)) this.#count(request);
    return request;
  }

  #count(request: ModelRequest): void {
    this.calls += 1;
    this.#kept.set(this.calls, request);
    this.#kept.delete(this.calls - requestsKeptMax);
    this.#waiting.get(this.calls)?.resolve(request);
    this.#waiting.delete(this.calls);
  }
}

/** Rejects when the client leaves; answers undefined for what is no JSON object. */
async function readBody(incoming: IncomingMessage): Promise<MessagesBody | undefined | "too large"> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of incoming as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes <= bodyBytesMax) chunks.push(chunk);
  }
  if (bytes > bodyBytesMax) return "too large";
  try {
    const body: unknown = JSON.parse(Buffer.concat(chunks).toString("utf8"));
    return typeof body === "object" && body !== null && !Array.isArray(body) ? (body as MessagesBody) : undefined;
  } catch {
    return undefined;
  }
}
