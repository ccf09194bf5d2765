import { RpcError, type WireError } from "@hl/core/rpc/error.ts";
import type { MessageId } from "@hl/core/rpc/message.ts";
import { errorTable, errorTypeOf, HlError } from "./errors.ts";

export interface WireErrorOptions {
  /** Only in --test-mode: a stack may name paths and versions that help an attacker. */
  readonly stackTrace: boolean;
  /** Takes out what must not leave this program (X4). */
  readonly redact?: ((error: WireError) => WireError) | undefined;
  /** Told about every error that is a bug. */
  readonly onInternal?: ((error: unknown, requestId: string) => void) | undefined;
}

/** Turns anything that was thrown into the error object of DESIGN.md 3.3. */
export function toWireError(error: unknown, id: MessageId, options: WireErrorOptions): WireError {
  const wire = described(error, id, options);
  return options.redact?.(wire) ?? wire;
}

function described(error: unknown, id: MessageId, options: WireErrorOptions): WireError {
  const requestId = String(id);
  if (error instanceof RpcError) {
    const type = errorTypeOf(error.code);
    const spec = type === undefined ? undefined : errorTable[type];
    return {
      code: error.code,
      message: error.message,
      data: { error_type: type, request_id: requestId, help: spec?.help, retry: spec?.retry, ...error.data },
    };
  }
  const expected = error instanceof HlError ? error : undefined;
  if (expected === undefined) options.onInternal?.(error, requestId);
  const type = expected?.type ?? "internal_error";
  const spec = errorTable[type];
  const stack = options.stackTrace && error instanceof Error ? error.stack : undefined;
  return {
    code: spec.code,
    message: expected?.message ?? "the daemon failed in a way it did not expect",
    data: {
      error_type: type,
      request_id: requestId,
      help: spec.help,
      retry: spec.retry,
      ...expected?.facts,
      ...(stack === undefined ? {} : { stack_trace: stack }),
    },
  };
}

/** The same error as a value on the caller's side: what came over the wire becomes one of ours again. */
export function fromRpcError(error: unknown): unknown {
  if (!(error instanceof RpcError)) return error;
  const type = errorTypeOf(error.code);
  return type === undefined ? error : new HlError(type, error.message, error.data, { cause: error });
}
