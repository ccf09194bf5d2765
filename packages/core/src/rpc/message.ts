import { rpcCode, type WireError } from "./error.ts";

/** JSON-RPC 2.0 messages as values: what came in is judged here once, so that nothing behind this file meets a malformed one. */
export type MessageId = string | number | null;

export interface RequestMessage {
  readonly kind: "request";
  readonly id: MessageId;
  readonly method: string;
  readonly params: unknown;
  /** A caller's own token beside the parameters; see DESIGN.md 3.4. */
  readonly authorization: string | undefined;
  /** The caller wants to be told when the last notification of this request has been sent (`$/streamEnd`). */
  readonly streamEnd?: boolean | undefined;
}

export interface NotificationMessage {
  readonly kind: "notification";
  readonly method: string;
  readonly params: unknown;
  /** The request this notification belongs to, when the sender says so. */
  readonly requestId: MessageId | undefined;
}

export interface ResponseMessage {
  readonly kind: "response";
  readonly id: MessageId;
  readonly outcome: { readonly result: unknown } | { readonly error: WireError };
}

export interface InvalidMessage {
  readonly kind: "invalid";
  readonly id: MessageId;
  readonly error: WireError;
}

export type Message = RequestMessage | NotificationMessage | ResponseMessage | InvalidMessage;

export interface ParsedInput {
  readonly batch: boolean;
  readonly messages: readonly Message[];
}

export interface MessageLimits {
  /** Nesting of arrays and objects; a parser's memory and a validator's stack are bounded by it. */
  readonly depthMax: number;
  readonly batchLengthMax: number;
}

export const defaultMessageLimits: MessageLimits = { depthMax: 64, batchLengthMax: 1000 };

export function parseInput(text: string, limits: MessageLimits = defaultMessageLimits): ParsedInput {
  if (nestingExceeds(text, limits.depthMax)) {
    return single(invalid(null, rpcCode.invalidRequest, `the message nests deeper than ${limits.depthMax} levels`));
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    return single(invalid(null, rpcCode.parseError, `the message is not JSON: ${(error as Error).message}`));
  }
  if (!Array.isArray(value)) return single(classify(value));
  if (value.length === 0) return single(invalid(null, rpcCode.invalidRequest, "a batch must not be empty"));
  if (value.length > limits.batchLengthMax) {
    const message = `a batch may hold ${limits.batchLengthMax} messages, this one has ${value.length}`;
    return single(invalid(null, rpcCode.invalidRequest, message));
  }
  return { batch: true, messages: value.map(classify) };
}

function classify(value: unknown): Message {
  if (!isObject(value)) return invalid(null, rpcCode.invalidRequest, "a message must be an object");
  const hasId = "id" in value;
  const id = hasId ? value.id : undefined;
  const idIsValid = typeof id === "string" || (typeof id === "number" && Number.isFinite(id)) || id === null;
  const answerId: MessageId = idIsValid ? id : null;
  const refuse = (message: string): InvalidMessage => invalid(answerId, rpcCode.invalidRequest, message);

  if (value.jsonrpc !== "2.0") return refuse('"jsonrpc" must be "2.0"');
  if (hasId && !idIsValid) return refuse('"id" must be a string, a number or null');
  if ("method" in value) {
    if (typeof value.method !== "string") return refuse('"method" must be a string');
    const params = value.params;
    if (params !== undefined && (typeof params !== "object" || params === null)) {
      return refuse('"params" must be an object or an array');
    }
    if (hasId) {
      const authorization = typeof value.authorization === "string" ? value.authorization : undefined;
      const streamEnd = value.stream_end === true;
      return { kind: "request", id: answerId, method: value.method, params, authorization, streamEnd };
    }
    const owner = value.request_id;
    const requestId = typeof owner === "string" || typeof owner === "number" ? owner : undefined;
    return { kind: "notification", method: value.method, params, requestId };
  }
  if (hasId && ("result" in value || "error" in value)) return classifyResponse(value, answerId);
  return refuse('"method" is missing');
}

function classifyResponse(value: Record<string, unknown>, id: MessageId): Message {
  if (!("error" in value)) return { kind: "response", id, outcome: { result: value.result } };
  const error = value.error;
  const wellFormed = isObject(error) && typeof error.code === "number" && typeof error.message === "string";
  if (!wellFormed) {
    const message = "the other side answered with a malformed error object";
    return { kind: "response", id, outcome: { error: { code: rpcCode.internalError, message } } };
  }
  const data = isObject(error.data) ? error.data : undefined;
  return {
    kind: "response",
    id,
    outcome: { error: { code: error.code as number, message: error.message as string, data } },
  };
}

export interface RequestExtras {
  readonly authorization?: string | undefined;
  readonly streamEnd?: true | undefined;
}

export function encodeRequest(
  id: MessageId,
  method: string,
  params: unknown,
  wallMs: number,
  { authorization, streamEnd }: RequestExtras = {},
): string {
  const timestamp = wallMs / 1000;
  return JSON.stringify({ jsonrpc: "2.0", id, method, params, authorization, stream_end: streamEnd, timestamp });
}

export function encodeNotification(method: string, params: unknown, wallMs: number, requestId?: MessageId): string {
  return JSON.stringify({ jsonrpc: "2.0", method, params, request_id: requestId, timestamp: wallMs / 1000 });
}

/** `undefined` is not JSON; a method without a result answers null. */
export function responseObject(id: MessageId, result: unknown, wallMs: number): object {
  return { jsonrpc: "2.0", id, result: result ?? null, timestamp: wallMs / 1000 };
}

export function errorObject(id: MessageId, { code, message, data }: WireError, wallMs: number): object {
  // Copied: the message of an Error is not enumerable and would be missing on the wire.
  return { jsonrpc: "2.0", id, error: { code, message, data }, timestamp: wallMs / 1000 };
}

const quote = 0x22;
const backslash = 0x5c;

/** Counts brackets outside strings; parsing first and walking afterwards would already have paid the memory. */
export function nestingExceeds(text: string, depthMax: number): boolean {
  if (!opensMoreThan(depthMax, text)) return false;
  let depth = 0;
  for (let index = 0; index < text.length; index += 1) {
    const code = text.charCodeAt(index);
    if (code === quote) {
      index = endOfString(text, index + 1);
    } else if (code === 0x5b || code === 0x7b) {
      depth += 1;
      if (depth > depthMax) return true;
    } else if (code === 0x5d || code === 0x7d) {
      depth -= 1;
    }
  }
  return false;
}

/** Whether so many brackets open at all, strings included. In most messages they do not, and the engine's own search is through at once. */
function opensMoreThan(most: number, text: string): boolean {
  let left = most;
  for (const bracket of ["{", "["]) {
    for (let at = text.indexOf(bracket); at !== -1; at = text.indexOf(bracket, at + 1)) {
      if (left === 0) return true;
      left -= 1;
    }
  }
  return false;
}

/** Long strings are the bulk of a message, so they are skipped by the engine's own search instead of step by step. */
function endOfString(text: string, from: number): number {
  let end = text.indexOf('"', from);
  while (end !== -1) {
    let slashes = 0;
    for (let index = end - 1; index >= from && text.charCodeAt(index) === backslash; index -= 1) slashes += 1;
    if (slashes % 2 === 0) return end;
    end = text.indexOf('"', end + 1);
  }
  return text.length;
}

function single(message: Message): ParsedInput {
  return { batch: false, messages: [message] };
}

function invalid(id: MessageId, code: number, message: string): InvalidMessage {
  return { kind: "invalid", id, error: { code, message } };
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
