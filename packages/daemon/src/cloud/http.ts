import { randomUUID } from "node:crypto";
import type { IncomingHttpHeaders } from "node:http";
import { gzip } from "node:zlib";
import { promisify } from "node:util";
import type { Clock } from "@hl/core/clock.ts";
import { Deadline } from "@hl/core/deadline.ts";
import { encodeRequest, parseInput, type ResponseMessage } from "@hl/core/rpc/message.ts";
import { RpcError } from "@hl/core/rpc/error.ts";
import { fromRpcError } from "@hl/protocol/wire-error.ts";
import { HttpClient } from "../network/http-client.ts";
import { ConnectionFailed, type Connect } from "../network/outbound.ts";
import { lateTlsFailureText } from "../network/tls-failure.ts";
import type { RequestPace } from "./request-pace.ts";
import { retryAfterMs } from "./retry-after.ts";

export interface Compression {
  /** Of gzip, 1 to 9. */
  readonly level: number;
  /** Smaller bodies go as they are: compressing them costs more than it saves. */
  readonly bytesMin: number;
}

/**
 * Requests to the cloud: JSON-RPC envelopes over HTTPS. Only an answer that is a well-formed envelope of ours is an
 * answer; anything else (a proxy's page, a cut body, a 2xx with HTML) is the network failing, and is tried again.
 * Numbers are read when they are needed: the cloud sets some.
 */
export interface CloudHttpOptions {
  readonly clock: Clock;
  readonly timeoutMs: number;
  /** Without it bodies go as they are. */
  readonly compression?: Compression | undefined;
  /** False: batches go as they are all the same. */
  readonly compressesBatches?: boolean | undefined;
  readonly connectionsMax: number;
  /** False: none is used again. */
  readonly keepsConnections?: boolean | undefined;
  readonly answerBytesMax: number;
  /** A connection that is judged, secured and not for longer than is configured. */
  readonly connect: Connect;
  /** Longest `Retry-After` that is obeyed. */
  readonly retryAfterMaxMs: number;
  /** Every request waits its turn; without it none does. */
  readonly pace?: RequestPace | undefined;
  /** Sent with every request. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
}

interface UnreachableOptions extends ErrorOptions {
  readonly status?: number;
}

/** The cloud could not be reached, or what answered was not the cloud. */
export class CloudUnreachable extends Error {
  override readonly name = "CloudUnreachable";
  /** From a `Retry-After` header. */
  readonly retryAfterMs: number | undefined;
  /** Of the answer that was not ours; undefined where there was none. */
  readonly status: number | undefined;

  constructor(message: string, retryAfterMs?: number, options?: UnreachableOptions) {
    super(message, options);
    this.retryAfterMs = retryAfterMs;
    this.status = options?.status;
  }
}

const compress = promisify(gzip);
/** What compressing has to save: so much are the header that says so and the work worth. */
const savedBytesMin = 64;
/** A slow line gets a second more for so much. Research: fleet-agents (d.2). */
const bytesPerSecond = 65_536;
/** What the cloud puts into one answer to a poll, besides a single message of any size. */
const pollBytesMax = 1_048_576;

export class CloudHttp implements AsyncDisposable {
  readonly #options: CloudHttpOptions;
  readonly #client: HttpClient;

  constructor(options: CloudHttpOptions) {
    this.#options = options;
    const { connect, connectionsMax, keepsConnections } = options;
    this.#client = new HttpClient({ connect, connectionsMax, keepsConnections });
  }

  /** One request. Rejects with the cloud's own error (an `HlError`) or `CloudUnreachable`. */
  async call(
    url: string,
    method: string,
    params: unknown,
    token: string | undefined,
    signal: AbortSignal,
  ): Promise<unknown> {
    const [response] = await this.#post(
      url,
      encodeRequest(randomUUID(), method, params, this.#options.clock.wallMs()),
      token,
      signal,
      {},
      this.#options.compression,
    );
    if (response === undefined) throw new CloudUnreachable(`${url} answered nothing`);
    return resultOf(response);
  }

  /** A batch; answers the outcome of each request, in the order of `paramsList`; undefined where the answer has none. */
  async batch(
    url: string,
    method: string,
    paramsList: readonly string[],
    token: string,
    signal: AbortSignal,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<(ResponseMessage["outcome"] | undefined)[]> {
    const timestamp = this.#options.clock.wallMs() / 1000;
    const name = JSON.stringify(method);
    // The events are JSON already: parsing and writing them again would be the dearest part of shipping them.
    const items = paramsList.map(
      (params, id) => `{"jsonrpc":"2.0","id":${id},"method":${name},"timestamp":${timestamp},"params":${params}}`,
    );
    const { compression, compressesBatches = true } = this.#options;
    const body = `[${items.join(",")}]`;
    const responses = await this.#post(url, body, token, signal, headers, compressesBatches ? compression : undefined);
    const [first] = responses;
    if (responses.length === 1 && first?.id === null) resultOf(first); // The batch as a whole was refused.
    const outcomes = new Map(responses.map(({ id, outcome }) => [id, outcome]));
    return paramsList.map((_, index) => outcomes.get(index));
  }

  /** One request of the command channel over polls: an array of messages goes, an array of messages comes back. */
  async exchange(
    method: "GET" | "POST" | "DELETE",
    url: string,
    body: string | undefined,
    token: string,
    signal: AbortSignal,
  ): Promise<readonly string[]> {
    const { timeoutMs, answerBytesMax, headers, pace } = this.#options;
    await pace?.turn(signal);
    using deadline = this.#deadline(timeoutMs);
    let text: string;
    let status: number;
    let waitMs: number | undefined;
    try {
      const response = await this.#client.request(url, {
        method,
        signal: AbortSignal.any([signal, deadline.signal]),
        headers: { ...headers, "content-type": "application/json", authorization: `Bearer ${token}` },
        ...(body === undefined ? {} : { body }),
      });
      status = response.statusCode;
      waitMs = this.#waitMs(response.headers);
      // Many messages may come at once, each as large as one may be.
      text = await readBounded(response.body, answerBytesMax + pollBytesMax);
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      throw new CloudUnreachable(`${url} cannot be reached: ${reasonOf(error, url)}`, undefined, { cause: error });
    }
    const messages = status === 200 ? arrayIn(text) : undefined;
    if (messages !== undefined) return messages.map((message) => JSON.stringify(message));
    const refused = cloudErrorIn(text);
    if (refused === undefined || waitMs !== undefined)
      throw new CloudUnreachable(`${url} answered ${status} with something that is not ours`, waitMs);
    throw refused;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#client[Symbol.asyncDispose]();
  }

  #deadline(ms: number): Deadline {
    return new Deadline(this.#options.clock, ms, `the whole answer was not there within ${ms} ms`);
  }

  #waitMs(headers: IncomingHttpHeaders): number | undefined {
    const { retryAfterMaxMs, clock } = this.#options;
    const said = { retryAfter: firstOf(headers["retry-after"]), date: firstOf(headers["date"]) };
    return retryAfterMs(said, retryAfterMaxMs, clock.wallMs());
  }

  async #post(
    url: string,
    text: string,
    token: string | undefined,
    signal: AbortSignal,
    headers: Readonly<Record<string, string>>,
    compression: Compression | undefined,
  ): Promise<ResponseMessage[]> {
    const { answerBytesMax, pace } = this.#options;
    await pace?.turn(signal);
    const squeezed = compression === undefined ? undefined : await squeeze(text, compression);
    const body = squeezed ?? text;
    const timeoutMs = timeoutMsOf(this.#options.timeoutMs, Buffer.byteLength(body));
    using deadline = this.#deadline(timeoutMs);
    let status: number;
    let answerText: string;
    let waitMs: number | undefined;
    try {
      const response = await this.#client.request(url, {
        method: "POST",
        signal: AbortSignal.any([signal, deadline.signal]),
        headers: {
          ...this.#options.headers,
          ...headers,
          "content-type": "application/json",
          ...(squeezed === undefined ? {} : { "content-encoding": "gzip" }),
          ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        },
        body,
      });
      status = response.statusCode;
      waitMs = this.#waitMs(response.headers);
      answerText = await readBounded(response.body, answerBytesMax);
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      throw new CloudUnreachable(`${url} cannot be reached: ${reasonOf(error, url)}`, undefined, { cause: error });
    }
    const responses = responsesIn(answerText);
    if (responses === undefined || (status >= 500 && status !== 503)) {
      const said = `${url} answered ${status} with something that is not ours`;
      throw new CloudUnreachable(said, waitMs, { status });
    }
    if (status === 429) waitMs ??= pace?.refused(this.#options.retryAfterMaxMs);
    if (status === 429 || status === 503) {
      throw new CloudUnreachable(`${url} asks to wait (${status})`, waitMs);
    }
    pace?.accepted();
    return responses;
  }
}

/** Of a request whose body has so many bytes as it is sent. */
export function timeoutMsOf(leastMs: number, bytes: number): number {
  return leastMs + Math.ceil(bytes / bytesPerSecond) * 1_000;
}

/** The text compressed; undefined where that saves nothing. */
export async function squeeze(text: string, { level, bytesMin }: Compression): Promise<Buffer | undefined> {
  const bytes = Buffer.byteLength(text);
  if (bytes < bytesMin) return undefined;
  const squeezed = await compress(text, { level });
  return squeezed.length <= bytes - savedBytesMin ? squeezed : undefined;
}

function responsesIn(text: string): ResponseMessage[] | undefined {
  const { messages } = parseInput(text, { depthMax: 64, batchLengthMax: 100_000 });
  const responses = messages.filter((message) => message.kind === "response");
  return responses.length === messages.length && responses.length > 0 ? responses : undefined;
}

function arrayIn(text: string): readonly unknown[] | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return Array.isArray(value) ? (value as unknown[]) : undefined;
  } catch {
    return undefined;
  }
}

/** The cloud's own error in the body of a refused upgrade; undefined where something else has answered. */
export function cloudErrorIn(body: string): unknown {
  const [response] = responsesIn(body) ?? [];
  if (response === undefined || "result" in response.outcome) return undefined;
  const { code, message, data } = response.outcome.error;
  return fromRpcError(new RpcError(code, message, data));
}

function resultOf(response: ResponseMessage): unknown {
  if ("result" in response.outcome) return response.outcome.result;
  const { code, message, data } = response.outcome.error;
  throw fromRpcError(new RpcError(code, message, data));
}

async function readBounded(body: AsyncIterable<Buffer>, bytesMax: number): Promise<string> {
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const part of body) {
    bytes += part.length;
    if (bytes > bytesMax) throw new Error(`the answer is over ${bytesMax} bytes`);
    parts.push(part);
  }
  return Buffer.concat(parts).toString("utf8");
}

function firstOf(header: string | string[] | undefined): string | undefined {
  return Array.isArray(header) ? header[0] : header;
}

function reasonOf(error: unknown, url: string): string {
  const refused = lateTlsFailureText(error, new URL(url).host);
  if (refused !== undefined) return refused;
  if (error instanceof ConnectionFailed) return error.message; // It has said all that its cause says.
  if (!(error instanceof Error)) return String(error);
  const inner = error.cause instanceof Error ? error.cause.message : "";
  const code = (error as NodeJS.ErrnoException).code;
  return [error.message || code || error.name, inner].filter((part) => part !== "").join(": ");
}
