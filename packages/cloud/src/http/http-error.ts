import { errorObject } from "@hl/core/rpc/message.ts";
import type { WireError } from "@hl/core/rpc/error.ts";
import { errorTable, HlError, type ErrorType } from "@hl/protocol/errors.ts";
import { toWireError, type WireErrorOptions } from "@hl/protocol/wire-error.ts";

/**
 * The status tells of the exchange with hl-cloud and follows from the error; an error that a VM answered comes with 200,
 * or callers would take the VM's "permission denied" for ours.
 */
const statuses: Partial<Record<ErrorType, number>> = {
  parse_error: 400,
  invalid_request: 400,
  method_not_found: 400,
  invalid_params: 400,
  event_invalid: 400,
  internal_error: 500,
  unauthenticated: 401,
  enrollment_invalid: 401,
  token_superseded: 401,
  permission_denied: 403,
  instance_revoked: 403,
  identity_in_use: 409,
  cloud_restarted: 409,
  session_ended: 410,
  protocol_unsupported: 400,
  instance_unknown: 404,
  request_too_large: 413,
  rate_limited: 429,
  overloaded: 503,
  shutting_down: 503,
  instance_offline: 503,
  no_space: 503,
};

const statusByCode = new Map<number, number>(
  Object.entries(statuses).map(([type, status]) => [errorTable[type as ErrorType].code, status]),
);

export interface HttpAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: object;
}

export function statusOf(error: WireError): number {
  return statusByCode.get(error.code) ?? 500;
}

/** `Retry-After` is whole seconds; the exact time is in the body. */
export function headersOf(error: WireError): Record<string, string> {
  const headers: Record<string, string> = {};
  const status = statusOf(error);
  const retryAfterMs = error.data?.["retry_after_ms"];
  if (status === 429 || status === 503) {
    headers["retry-after"] = String(typeof retryAfterMs === "number" ? Math.ceil(retryAfterMs / 1000) : 1);
  }
  if (status === 401) headers["www-authenticate"] = "Bearer";
  return headers;
}

/** Anything that was thrown while a request was served, as an HTTP answer with a JSON-RPC error in it. */
export function errorAnswer(error: unknown, wallMs: number, options: WireErrorOptions): HttpAnswer {
  const wire = toWireError(fromFastify(error), null, options);
  return { status: statusOf(wire), headers: headersOf(wire), body: errorObject(null, wire, wallMs) };
}

function fromFastify(error: unknown): unknown {
  if (error instanceof HlError || !(error instanceof Error) || !("statusCode" in error)) return error;
  const { statusCode, message } = error;
  if (statusCode === 413) return new HlError("request_too_large", "the body is larger than this address accepts");
  if (typeof statusCode === "number" && statusCode < 500) return new HlError("invalid_request", message);
  return error;
}
