/**
 * HTTP as a test wants it: any header (a wrong Host too), any body, and whatever comes back.
 */
import { request as startRequest } from "node:http";
import { within } from "./waiting.ts";
import type { Message } from "./message-client.ts";

export interface HttpRequest {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly token?: string | undefined;
  /** An object is sent as JSON. Without `content-length` among the headers it is announced, unless `chunked`. */
  readonly body?: string | Uint8Array | object;
  readonly chunked?: boolean;
  /** The answer has to be there by then; generous where it is left out. */
  readonly ms?: number;
}

export interface HttpAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
  /** The body as JSON; undefined where it is none. */
  readonly json: Message;
}

/** Rejects when the connection breaks before the answer. */
export function http(url: string, options: HttpRequest = {}): Promise<HttpAnswer> {
  const { token, chunked = false } = options;
  const body = bytesOf(options.body);
  const method = options.method ?? (body === undefined ? "GET" : "POST");
  const headers: Record<string, string> = {
    ...(body === undefined ? {} : { "content-type": "application/json" }),
    ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
    ...(body === undefined || chunked ? {} : { "content-length": String(body.length) }),
    ...options.headers,
  };
  const { promise, resolve, reject } = Promise.withResolvers<HttpAnswer>();
  const request = startRequest(url, { method, headers, agent: false }, (response) => {
    const parts: Buffer[] = [];
    response.on("data", (part: Buffer) => parts.push(part));
    response.on("error", reject);
    response.on("end", () => {
      const text = Buffer.concat(parts).toString("utf8");
      resolve({ status: response.statusCode ?? 0, headers: response.headers, text, json: jsonOf(text) });
    });
  });
  // A server that refuses a body answers and closes while we still write: what it said counts, if it came.
  request.on("error", reject);
  if (body === undefined) request.end();
  else request.end(body);
  return within(`${method} ${url}`, promise, options.ms);
}

function bytesOf(body: HttpRequest["body"]): Uint8Array | undefined {
  if (body === undefined || body instanceof Uint8Array) return body;
  return Buffer.from(typeof body === "string" ? body : JSON.stringify(body));
}

function jsonOf(text: string): Message {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
