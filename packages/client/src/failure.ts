import { RpcError } from "@hl/core/rpc/error.ts";
import { ConnectionClosed, RequestTimeout } from "@hl/core/rpc/peer.ts";
import { errorTable, HlError, type ErrorType } from "@hl/protocol/errors.ts";
import { CommanderError } from "commander";
import { TlsFilesProblem } from "./connect/tls-files.ts";
import { exitCode } from "./exit-codes.ts";
import { Interrupted } from "./interrupts.ts";

/** A failure on this side of the connection, with what to do about it. */
export class ClientFailure extends Error {
  override readonly name = "ClientFailure";
  readonly kind: FailureKind;
  readonly help: string | undefined;

  constructor(kind: FailureKind, message: string, help?: string, options?: ErrorOptions) {
    super(message, options);
    this.kind = kind;
    this.help = help;
  }
}

export type FailureKind =
  "usage" | "unreachable" | "no_token" | "protocol" | "output_failed" | "local_file" | "changed";

const codeByKind: Readonly<Record<FailureKind, number>> = {
  usage: exitCode.usage,
  unreachable: exitCode.unavailable,
  no_token: exitCode.permission,
  protocol: exitCode.software,
  output_failed: exitCode.outputFailed,
  local_file: exitCode.localFile,
  changed: exitCode.failed,
};

const codeByType: Readonly<Partial<Record<ErrorType, number>>> = {
  unauthenticated: exitCode.permission,
  permission_denied: exitCode.permission,
  instance_offline: exitCode.unavailable,
  instance_unknown: exitCode.unavailable,
  runner_unavailable: exitCode.unavailable,
  workspace_lost: exitCode.tryLater,
  shutting_down: exitCode.tryLater,
  rate_limited: exitCode.tryLater,
  queue_full: exitCode.tryLater,
  config_invalid: exitCode.config,
};

/** A failure as it is told: to people in two lines, to programs as an object. */
export interface Told {
  readonly exitCode: number;
  readonly errorType: string;
  readonly message: string;
  readonly help?: string | undefined;
  /** The error's number on the wire. */
  readonly code?: number | undefined;
  readonly facts?: Readonly<Record<string, unknown>> | undefined;
}

export function tell(error: unknown): Told {
  if (error instanceof ClientFailure) {
    return { exitCode: codeByKind[error.kind], errorType: error.kind, message: error.message, help: error.help };
  }
  if (error instanceof TlsFilesProblem) return { exitCode: exitCode.usage, errorType: "usage", message: error.message };
  if (error instanceof HlError) return tellHlError(error);
  if (error instanceof Interrupted) return { exitCode: error.exitCode, errorType: "interrupted", message: "" };
  if (error instanceof CommanderError) {
    const message = error.message.replace(/^error: /, "");
    return { exitCode: exitCode.usage, errorType: "usage", message, help: "Try `hl-client --help`." };
  }
  if (error instanceof RpcError) {
    const message = `${error.message} (error ${error.code})`;
    return { exitCode: exitCode.failed, errorType: "rpc_error", message, code: error.code, facts: error.data };
  }
  if (error instanceof ConnectionClosed) {
    const help = "Whether the request had an effect is not known: look before you repeat it.";
    const message = `the connection was lost before the answer came: ${error.message}`;
    return { exitCode: exitCode.unavailable, errorType: "connection_lost", message, help };
  }
  if (error instanceof RequestTimeout) {
    const help = "Give it longer with --timeout; `hl-client health` shows whether the daemon is well.";
    return { exitCode: exitCode.unavailable, errorType: "request_timeout", message: error.message, help };
  }
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  const help = "This is a bug in hl-client: please report it with these lines.";
  return { exitCode: exitCode.software, errorType: "bug", message: text, help };
}

function tellHlError(error: HlError): Told {
  const { help, error_type: _type, request_id: _id, retry: _retry, ...facts } = error.facts;
  return {
    exitCode: codeByType[error.type] ?? exitCode.failed,
    errorType: error.type,
    message: error.message,
    // The sender may know more than the table does.
    help: typeof help === "string" ? help : errorTable[error.type].help,
    code: error.code,
    ...(Object.keys(facts).length === 0 ? {} : { facts }),
  };
}

/** True for what may be over in a moment: a connection that is refused or lost, a daemon that restarts. */
export function isPassing(error: unknown): boolean {
  if (error instanceof HlError)
    return (
      error.type === "instance_offline" ||
      error.type === "shutting_down" ||
      error.type === "rate_limited" ||
      error.type === "runner_unavailable" ||
      error.type === "workspace_lost"
    );
  if (error instanceof ClientFailure) return error.kind === "unreachable";
  return error instanceof ConnectionClosed || error instanceof RequestTimeout;
}
