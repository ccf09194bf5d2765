/**
 * What a script can make the model do with one request. Every way in which the real API answers, fails or falls silent is one
 * `kind` here, so that a test says what happens and not how it is written to the socket.
 */

/** Text, optionally cut into deltas of a given size, or a request for a tool. */
export type ReplyBlock =
  | { readonly type: "text"; readonly text: string }
  | { readonly type: "thinking"; readonly thinking: string }
  | {
      readonly type: "tool_use";
      readonly name: string;
      readonly input: Readonly<Record<string, unknown>>;
      readonly id?: string;
    };

/** An answer of the model. */
export interface MessageReply {
  readonly kind: "message";
  readonly content: readonly ReplyBlock[];
  /** By default `tool_use` when a tool is asked for, else `end_turn`. */
  readonly stopReason?: string;
  /** Wait before the first byte. */
  readonly delayMs?: number;
  /** Wait before each delta of a streamed answer. */
  readonly deltaDelayMs?: number;
  /** Characters of one delta; 16 by default, more where the text is long. */
  readonly deltaChars?: number;
  /** Goes on after so many deltas of a streamed answer only when the promise has settled. */
  readonly pause?: { readonly afterDeltas: number; readonly until: Promise<unknown> };
  /** Breaks off after so many deltas (or before a non-streamed body): by closing the connection, or by never sending more. */
  readonly breakOff?: { readonly how: "cut" | "hang"; readonly afterDeltas: number };
}

/** An error as the API words it. */
export interface ErrorReply {
  readonly kind: "error";
  readonly status: number;
  /** By default the API's own name for the status, for example `overloaded_error` for 529. */
  readonly errorType?: string;
  readonly message?: string;
  /** For example `retry-after` or `x-should-retry`. */
  readonly headers?: Readonly<Record<string, string>>;
  readonly delayMs?: number;
}

/** The request is taken and nothing ever comes back. */
export interface HangReply {
  readonly kind: "hang";
}

/** The connection is closed before the first byte of an answer. */
export interface CutReply {
  readonly kind: "cut";
}

export type ModelReply = MessageReply | ErrorReply | HangReply | CutReply;

/** A reply of one text. */
export function textReply(text: string, options: Partial<Omit<MessageReply, "kind" | "content">> = {}): MessageReply {
  return { kind: "message", content: [{ type: "text", text }], ...options };
}

/** A reply that asks for one tool. */
export function toolReply(name: string, input: Record<string, unknown>): MessageReply {
  return { kind: "message", content: [{ type: "tool_use", name, input }] };
}

/**
 * A reply that fails. It tells the client not to retry unless `headers` say otherwise, because the client's own back-off
 * (up to three minutes) would make every test of an error slow.
 */
export function errorReply(status: number, options: Omit<ErrorReply, "kind" | "status"> = {}): ErrorReply {
  return { kind: "error", status, ...options, headers: { "x-should-retry": "false", ...options.headers } };
}

const errorTypes: Readonly<Record<number, string>> = {
  400: "invalid_request_error",
  401: "authentication_error",
  403: "permission_error",
  404: "not_found_error",
  413: "request_too_large",
  429: "rate_limit_error",
  500: "api_error",
  529: "overloaded_error",
};

/** The API's name for a status. */
export function errorTypeOf(status: number): string {
  return errorTypes[status] ?? (status < 500 ? "invalid_request_error" : "api_error");
}
