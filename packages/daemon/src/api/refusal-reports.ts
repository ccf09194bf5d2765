import { BoundedReports } from "@hl/core/bounded-reports.ts";
import type { Clock } from "@hl/core/clock.ts";
import type { Logger } from "@hl/core/logger.ts";

/** Why a connection was not taken on, or ended by us. */
export type RefusedConnection =
  "by_rule" | "no_room" | "pushed_out" | "no_login_in_time" | "no_login_but_messages" | "reader_too_slow";

/**
 * @param from an IP address, or `unix socket`
 * @param because what is written where, for `by_rule`
 */
export type ReportRefusal = (why: RefusedConnection, from: string, because?: string) => void;

const sentences: Readonly<Record<RefusedConnection, string>> = {
  by_rule: "a connection to the HTTP port was refused by a rule",
  no_room: "a local connection was refused: max_connections are open",
  pushed_out: "a local connection without a login was closed for a new one: max_connections are open",
  no_login_in_time: "a local connection was closed: no login in time",
  no_login_but_messages: "a local connection was closed: too many messages without a login",
  reader_too_slow: "a local connection was closed: its reader took nothing for too long",
};

const windowMs = 60_000;
/** Kinds of one minute, addresses told apart. */
const toldMax = 20;

interface Refused {
  readonly why: RefusedConnection;
  readonly from: string;
  readonly because: string | undefined;
}

/**
 * Tells the log of refused connections, which anybody can cause as fast as they like: the first of a kind in each minute, and a count. Those that a
 * rule refuses may come from other machines, and take nothing of what is told of callers on this one.
 */
export function refusalReports(logger: Logger, clock: Clock): { readonly report: ReportRefusal } & Disposable {
  const boundedTo = (what: string): BoundedReports<Refused> =>
    new BoundedReports({
      clock,
      windowMs,
      toldMax,
      keyOf: ({ why, from }) => `${why} ${from}`,
      tell: ({ why, from, because }) =>
        logger.warn({ why, from, ...(because === undefined ? {} : { because }) }, sentences[why]),
      tellRest: (count) => logger.warn({ count }, `more ${what}`),
    });
  const byRule = boundedTo("connections to the HTTP port were refused by rules");
  const others = boundedTo("local connections were refused or closed");
  return {
    report: (why, from, because) => (why === "by_rule" ? byRule : others).report({ why, from, because }),
    [Symbol.dispose]: () => {
      for (const reports of [byRule, others]) reports[Symbol.dispose]();
    },
  };
}
