import { BoundedReports } from "@hl/core/bounded-reports.ts";
import type { Clock } from "@hl/core/clock.ts";
import type { Logger } from "@hl/core/logger.ts";

/** Why a connection was not taken on, or ended by us. */
export type RefusedConnection =
  "no_room" | "pushed_out" | "no_login_in_time" | "no_login_but_messages" | "reader_too_slow";

/** @param from an IP address, or `unix socket` */
export type ReportRefusal = (why: RefusedConnection, from: string) => void;

const sentences: Readonly<Record<RefusedConnection, string>> = {
  no_room: "a local connection was refused: max_connections are open",
  pushed_out: "a local connection without a login was closed for a new one: max_connections are open",
  no_login_in_time: "a local connection was closed: no login in time",
  no_login_but_messages: "a local connection was closed: too many messages without a login",
  reader_too_slow: "a local connection was closed: its reader took nothing for too long",
};

const windowMs = 60_000;
/** Kinds of one minute, addresses told apart. */
const toldMax = 20;

/** Tells the log of refused connections, which anybody on this machine can cause as fast as they like: the first of a kind in each minute, and a count. */
export function refusalReports(logger: Logger, clock: Clock): { readonly report: ReportRefusal } & Disposable {
  const reports = new BoundedReports<{ readonly why: RefusedConnection; readonly from: string }>({
    clock,
    windowMs,
    toldMax,
    keyOf: ({ why, from }) => `${why} ${from}`,
    tell: ({ why, from }) => logger.warn({ why, from }, sentences[why]),
    tellRest: (count) => logger.warn({ count }, "more local connections were refused or closed"),
  });
  return {
    report: (why, from) => reports.report({ why, from }),
    [Symbol.dispose]: () => reports[Symbol.dispose](),
  };
}
