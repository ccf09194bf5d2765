import { BoundedReports } from "@hl/core/bounded-reports.ts";
import type { Clock } from "@hl/core/clock.ts";
import { errorText, type Logger } from "@hl/core/logger.ts";
import type { CallRecord } from "@hl/protocol/dispatch.ts";
import { HlError, type ErrorType } from "@hl/protocol/errors.ts";
import { shownMethod } from "./audit.ts";

const windowMs = 60_000;
/** Kinds of refusals of one minute: a method, a caller and an error; of those who have proved nothing an address and an error. */
const toldMax = 50;

/** Refused before anything was done for them: whoever causes them can do so as fast as he likes. */
const cheap: ReadonlySet<ErrorType> = new Set([
  "unauthenticated",
  "permission_denied",
  "rate_limited",
  "method_not_found",
  "invalid_params",
  "shutting_down",
]);
/** These quote what the caller called a command, which may be a whole line with a password in it (X4); the audit says which rule it was. */
const quoting: ReadonlySet<ErrorType> = new Set(["command_blocked", "command_not_allowed", "command_not_found"]);

/** The log's line of each request: of those that were refused at the door only the first of a kind in each minute, and a count. */
export function requestLog(logger: Logger, clock: Clock): { readonly call: (record: CallRecord) => void } & Disposable {
  const tell = (record: CallRecord): void => {
    const type = typeOf(record);
    const error = quoting.has(type) ? undefined : errorText(record.error);
    logger.info({ ...fieldsOf(record), error_type: type, error }, "request failed");
  };
  const refusals = new BoundedReports<CallRecord>({
    clock,
    windowMs,
    toldMax,
    keyOf: (record) => {
      const { caller, method, from } = record;
      return JSON.stringify([typeOf(record), caller === undefined ? from : [caller.subject, shownMethod(method)]]);
    },
    tell,
    tellRest: (count) => logger.info({ count }, "more requests like these failed"),
  });
  return {
    call: (record) => {
      if (record.error === undefined) logger.debug(fieldsOf(record), "request");
      else if (cheap.has(typeOf(record))) refusals.report(record);
      else tell(record);
    },
    [Symbol.dispose]: () => refusals[Symbol.dispose](),
  };
}

function typeOf({ error }: CallRecord): ErrorType {
  return error instanceof HlError ? error.type : "internal_error";
}

function fieldsOf({ method, caller, from, durationMs }: CallRecord): Record<string, unknown> {
  const ms = Math.round(durationMs * 10) / 10;
  return { method: shownMethod(method), caller: caller?.subject, via: caller?.via, from, ms };
}
