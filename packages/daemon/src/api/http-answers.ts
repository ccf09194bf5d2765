import type { IncomingMessage, ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import type { Clock } from "@hl/core/clock.ts";
import { errorTable, HlError, type ErrorType } from "@hl/protocol/errors.ts";

export function sendJson(response: ServerResponse, status: number, value: object): void {
  sendBody(response, status, JSON.stringify(value));
}

export function sendBody(response: ServerResponse, status: number, json: string): void {
  response
    .writeHead(status, {
      "content-type": "application/json",
      "content-length": Buffer.byteLength(json),
      "cache-control": "no-store",
    })
    .end(json); // A text goes out in one write with the head.
}

/** The target is whatever a caller wrote; one that is no address, as `//`, has no path that we serve. */
export function pathOf(request: IncomingMessage): string {
  return URL.parse(request.url ?? "/", "http://localhost")?.pathname ?? "";
}

/** Whether more of a body may follow than is worth reading only to throw it away. */
export function hasLargeBody({ headers }: IncomingMessage): boolean {
  return headers["transfer-encoding"] !== undefined || Number(headers["content-length"] ?? 0) > 65_536;
}

/** HTTP counts whole seconds. */
export function retryAfterSeconds(retryAfterMs: unknown): string {
  return String(typeof retryAfterMs === "number" ? Math.max(1, Math.ceil(retryAfterMs / 1000)) : 1);
}

/** Of an answer to a single message: 429 where it was refused for its rate. A batch has an outcome for each. */
export function rateRefusalIn(output: object): { readonly retryAfterMs: unknown } | undefined {
  const { error } = output as { error?: { code?: number; data?: { retry_after_ms?: unknown } } };
  return error?.code === errorTable.rate_limited.code ? { retryAfterMs: error.data?.retry_after_ms } : undefined;
}

/** Asked again within this time, it is the same answer: anybody may ask for health, as often as they like. */
const healthAgeMsMax = 100;

/** The answer to `GET /health`, which costs little however often it is asked for. */
export class HealthAnswer {
  readonly #read: () => { readonly status: string };
  readonly #clock: Pick<Clock, "now">;
  #readAt = Number.NEGATIVE_INFINITY;
  #status = 200;
  #json = "";

  constructor(read: () => { readonly status: string }, clock: Pick<Clock, "now">) {
    this.#read = read;
    this.#clock = clock;
  }

  send(response: ServerResponse): void {
    const now = this.#clock.now();
    if (now - this.#readAt > healthAgeMsMax) {
      const verdict = this.#read();
      this.#status = verdict.status === "unhealthy" ? 503 : 200;
      this.#json = JSON.stringify(verdict);
      this.#readAt = now;
    }
    sendBody(response, this.#status, this.#json);
  }
}

const statuses: Partial<Record<ErrorType, readonly [number, string]>> = {
  parse_error: [400, "Bad Request"],
  unauthenticated: [401, "Unauthorized"],
  permission_denied: [403, "Forbidden"],
  method_not_found: [404, "Not Found"],
  request_too_large: [413, "Content Too Large"],
  rate_limited: [429, "Too Many Requests"],
};

/** Whatever is no refusal is a bug of ours, and no way in. */
export function asRefusal(error: unknown): HlError {
  return error instanceof HlError ? error : new HlError("internal_error", "the caller could not be judged");
}

/** How HTTP says a refusal. */
export function httpStatusOf({ type }: HlError): readonly [status: number, text: string] {
  return statuses[type] ?? [500, "Internal Server Error"];
}

/** Answers a request that is refused, and closes the connection where the rest of it is not worth reading. */
export function sendRefusal(request: IncomingMessage, response: ServerResponse, error: HlError, body: object): void {
  if (error.type === "unauthenticated") response.setHeader("www-authenticate", "Bearer");
  if (error.type === "rate_limited") {
    response.setHeader("retry-after", retryAfterSeconds(error.facts["retry_after_ms"]));
  }
  if (hasLargeBody(request)) response.setHeader("connection", "close");
  sendJson(response, httpStatusOf(error)[0], body);
}

/** Answers an upgrade that is refused. The socket is HTTP no more, so nobody else would close it. */
export function refuseUpgrade(socket: Duplex, error: HlError): void {
  const wait =
    error.type === "rate_limited" ? `retry-after: ${retryAfterSeconds(error.facts["retry_after_ms"])}\r\n` : "";
  const head = `HTTP/1.1 ${httpStatusOf(error).join(" ")}\r\n${wait}connection: close\r\ncontent-length: 0\r\n\r\n`;
  socket.end(head, () => socket.destroy());
}
